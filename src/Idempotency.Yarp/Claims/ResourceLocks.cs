using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>How asking for a lock ended.</summary>
/// <param name="Held">The lock, when it was had.</param>
/// <param name="RetryAfter">When to ask again, when it was not.</param>
/// <param name="Defect">What is wrong with the request, when it has nothing to lock on.</param>
internal readonly record struct LockAttempt(HeldLock? Held, TimeSpan RetryAfter = default, string? Defect = null);

/// <summary>
/// Mutual exclusion on values of requests, across all instances (<c>Lock</c> of a policy). A lock is a claim in the store that ends with
/// its lease: renewed while the request is forwarded, released by compare-and-delete, freed by its lease when the holder dies.
/// </summary>
internal sealed class ResourceLocks(IIdempotencyStore store, LeaseKeeper leases, RecordIds recordIds, RecordWaits waits, LockLines lines, TimeProvider time)
{
    /// <exception cref="StoreUnavailableException">The store gave no answer; a lock that may stand is released in the background.</exception>
    public async Task<LockAttempt> AcquireAsync(RequestValues values, IdempotencyPolicy policy, LockPolicy wanted, CancellationToken cancellationToken)
    {
        foreach (var selector in wanted.On)
        {
            var found = values.Of(selector);
            if (found.Count != 1 || string.IsNullOrEmpty(found[0]) || values.Defect is not null)
            {
                return new LockAttempt(null, Defect: values.Defect ?? $"The request has {found.Count} values of {selector}, which is what is locked; expected one that is not empty.");
            }
        }

        var id = await recordIds.CreateForLockAsync(values, policy, wanted);
        var claim = new ClaimRequest(id, ClaimToken.Create(), default, policy.Lease, Retention: policy.Lease);
        if (wanted.Contention == Contention.Reject || lines.IsEmpty(id))
        {
            var (held, found) = await TryAsync(claim);
            if (held is not null || wanted.Contention == Contention.Reject || found.State != ClaimState.InProgress)
            {
                return new LockAttempt(held, found.Remaining);
            }
        }

        var began = time.GetTimestamp();
        using var first = await lines.JoinAsync(id, wanted.MaxWaiters, wanted.MaxWait, cancellationToken);
        var rest = policy.Lease;
        while (first is not null)
        {
            var (held, found) = await TryAsync(claim);
            if (held is not null)
            {
                return new LockAttempt(held);
            }

            // Uncertain: its holder gave up in the middle, and the backend may still be at it; the lease ends it.
            rest = found.Remaining;
            var left = wanted.MaxWait - time.GetElapsedTime(began);
            if (found.State != ClaimState.InProgress || left <= TimeSpan.Zero
                || await waits.WaitAsync(id, left, int.MaxValue, cancellationToken) is not { End: WaitEnd.Changed })
            {
                break;
            }
        }

        return new LockAttempt(null, rest);
    }

    private async ValueTask<(HeldLock? Held, ClaimResult Found)> TryAsync(ClaimRequest claim)
    {
        var askedAt = leases.Now;
        var found = await ClaimAsync(claim, askedAt);
        return (found.State == ClaimState.Claimed ? new HeldLock(leases, leases.Hold(claim, askedAt)) : null, found);
    }

    private async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, Moment askedAt)
    {
        try
        {
            return await store.ClaimAsync(claim, CancellationToken.None);
        }
        catch (StoreUnavailableException e) when (e.MayHaveTakenEffect)
        {
            leases.EndLater(leases.Hold(claim, askedAt), ClaimEnd.Release);
            throw;
        }
    }
}

/// <summary>A lock that a request holds.</summary>
internal sealed class HeldLock(LeaseKeeper leases, HeldClaim claim)
{
    /// <summary>The claim that the lock is.</summary>
    public HeldClaim Claim => claim;

    /// <summary>
    /// Ends it: released when the backend is done with the request, left to its lease when nobody knows whether it is.
    /// </summary>
    public async ValueTask EndAsync(bool isBackendDone)
    {
        if (claim.IsEnded)
        {
            return;
        }

        if (isBackendDone)
        {
            await leases.EndAsync(claim, ClaimEnd.Release);
        }
        else
        {
            leases.Abandon(claim);
        }
    }
}
