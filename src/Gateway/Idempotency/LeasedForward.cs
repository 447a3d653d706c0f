using Gateway.Forwarding;
using Gateway.Storage;

namespace Gateway.Idempotency;

/// <summary>
/// A forward that stands on a claim, on a lock, or on both. It begins only while both are fresh; when one is not, because the process was
/// stopped, or starved, or the store was away, the store is asked for both and must agree.
/// </summary>
/// <param name="leases">Renews them.</param>
/// <param name="claim">The claim; null for a request without a key.</param>
/// <param name="resource">The lock; null for none.</param>
internal sealed class LeasedForward(LeaseKeeper leases, HeldClaim? claim, HeldLock? resource) : ForwardTrace
{
    public override bool MayBegin => TestHooks.HasDefect("no-last-look")
        || ((claim is null || leases.IsFresh(claim)) && (resource is null || leases.IsFresh(resource.Claim)));

    /// <summary>It was not begun because another request holds the lock.</summary>
    public bool IsLockLost { get; private set; }

    public override async Task<bool> TryConfirmAsync()
    {
        HeldClaim[] held = (claim, resource) switch
        {
            (null, { } locked) => [locked.Claim],
            ({ } claimed, null) => [claimed],
            ({ } claimed, { } locked) => [claimed, locked.Claim],
            _ => [],
        };
        var results = await leases.ConfirmAsync(held);

        // A claim that the store had lost may have been another's meanwhile. A lock that nobody holds is had anew: nothing was sent under the old one.
        IsLockLost = resource is not null && results[^1] is WriteResult.Foreign or WriteResult.TakenOver;
        return (claim is null || results[0] == WriteResult.Done) && (resource is null || results[^1] is WriteResult.Done or WriteResult.Recreated);
    }
}
