using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// A forward that stands on a claim, on a lock, or on both. It begins only while both are fresh; when one is not, because the process was
/// stopped, or starved, or the store was away, the store is asked for both and must agree. Its body goes on while neither lease is over.
/// </summary>
/// <param name="leases">Renews them.</param>
/// <param name="claim">The claim; null for a request without a key.</param>
/// <param name="resource">The lock; null for none.</param>
internal sealed class LeasedTrace(LeaseKeeper leases, HeldClaim? claim, HeldLock? resource) : ForwardTrace
{
    private bool _isLockLost;

    public override bool IsLeased => true;

    public override bool MayBegin =>
        (claim is null || leases.IsFresh(claim)) && (resource is null || leases.IsFresh(resource.Claim));

    /// <summary>Whether the next piece of the body may go out.</summary>
    public bool MayGoOn =>
        (claim is null || leases.IsRunning(claim)) && (resource is null || leases.IsRunning(resource.Claim));

    private HeldClaim[] Held => (claim, resource) switch
    {
        (null, { } locked) => [locked.Claim],
        ({ } claimed, null) => [claimed],
        ({ } claimed, { } locked) => [claimed, locked.Claim],
        _ => [],
    };

    /// <summary>The body as the backend is to get it.</summary>
    public Stream Guard(Stream body) => new LeasedBody(body, this);

    /// <summary>Asked when the body may not go on: whether it may after all, because the store says that nobody took over meanwhile.</summary>
    public async Task<bool> TryConfirmToGoOnAsync()
    {
        var held = Held;
        if (held.Any(one => one.IsEnded || one.IsLost))
        {
            return false;
        }

        await leases.ConfirmAsync(held, isBegun: true);
        return MayGoOn; // what the store said is known to it by now
    }

    /// <summary>What the client of a forward that was not begun (<see cref="NotSentException"/>) is told: another request holds the lock, or the store did not agree.</summary>
    public Decision.Refuse Refusal(IdempotencyPolicy policy) =>
        _isLockLost ? new(Problem.ResourceLocked, RetryAfter: policy.Lease) : new(Problem.StoreUnavailable, RetryAfter: Refusals.SoonRetryAfter);

    public override async Task<bool> TryConfirmAsync()
    {
        var results = await leases.ConfirmAsync(Held, isBegun: false);

        // A claim that the store had lost may have been another's meanwhile. A lock that nobody holds is had anew: nothing was sent under the old one.
        _isLockLost = resource is not null && results[^1] is WriteResult.Foreign or WriteResult.TakenOver;
        return (claim is null || results[0] == WriteResult.Done) && (resource is null || results[^1] is WriteResult.Done or WriteResult.Recreated);
    }
}
