using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Claims the key of a request: from this instance's memory, from the store, after a wait for the first request's end, or by taking over
/// an uncertain attempt, as the policy says.
/// </summary>
internal sealed class KeyClaimer(IIdempotencyStore store, NearCopies copies, RecordWaits waits, Recovery recovery, LeaseKeeper leases)
{
    /// <param name="policy">What to do when the key is taken.</param>
    /// <param name="claim">The claim.</param>
    /// <param name="fingerprint">Of the request.</param>
    /// <param name="question">What to ask about the first request, with a probe.</param>
    /// <param name="terms">How long to wait for the first request's end, and whether to take over from it.</param>
    /// <param name="cancellationToken">The client is gone; ends waiting, not claiming.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; a claim that may stand is released in the background.</exception>
    public async ValueTask<FoundKey> ClaimAsync(
        IdempotencyPolicy policy, ClaimRequest claim, RequestFingerprint fingerprint, ProbeQuestion? question, ClaimTerms terms, CancellationToken cancellationToken)
    {
        var began = leases.Now;
        var askedAt = began;
        if (copies.TryFind(claim.Id, out var copy))
        {
            return new FoundKey(claim, copy, askedAt);
        }

        try
        {
            var found = await AskAsync(claim);
            if (found.State == ClaimState.InProgress && terms.Wait > TimeSpan.Zero)
            {
                (found, askedAt) = await WaitAsync(policy, claim, fingerprint, found, terms.Wait, cancellationToken);
            }

            if (found.State == ClaimState.Uncertain && terms.Retries != UncertainRetries.Refuse && await fingerprint.IsSameAsync(found.Fingerprint))
            {
                askedAt = leases.Now;
                found = await recovery.RecoverAsync(policy, terms.Retries, claim, found, question, cancellationToken);
                if (found.State == ClaimState.InProgress)
                {
                    // The sweeper, or another retry, was faster: what it finds out is the answer.
                    (found, askedAt) = await WaitAsync(policy, claim, fingerprint, found, terms.Wait - leases.Since(began), cancellationToken);
                }
            }

            return new FoundKey(claim with { Attempt = found.Attempt }, found, askedAt);
        }
        catch (StoreUnavailableException e) when (e.MayHaveTakenEffect)
        {
            // The claim may stand, and nothing was sent: it must not block its key.
            leases.EndLater(leases.Hold(claim, askedAt), ClaimEnd.Release);
            throw;
        }
    }

    /// <summary>Takes a claim that was had into care: it is renewed until it is ended.</summary>
    public HeldClaim Hold(FoundKey key) => leases.Hold(key.Claim, key.AskedAt);

    /// <summary>Frees a claim that was had and is not used.</summary>
    /// <returns>What the key is then.</returns>
    public ValueTask<ReleasedKey> ReleaseAsync(HeldClaim claim) => leases.ReleaseAsync(claim);

    /// <summary>Until the first request has ended, or time is up; a key that was freed meanwhile is claimed anew, by one of those who wait.</summary>
    private async Task<(ClaimResult Found, Moment AskedAt)> WaitAsync(
        IdempotencyPolicy policy, ClaimRequest claim, RequestFingerprint fingerprint, ClaimResult found, TimeSpan wait, CancellationToken cancellationToken)
    {
        var began = leases.Now;
        var askedAt = began;
        while (found.State == ClaimState.InProgress && await fingerprint.IsSameAsync(found.Fingerprint))
        {
            var left = wait - leases.Since(began);
            if (left <= TimeSpan.Zero
                || await waits.WaitAsync(claim.Id, left, policy.MaxWaiters, cancellationToken) is not { End: WaitEnd.Changed } waited)
            {
                break;
            }

            if (waited.Found is { } now)
            {
                found = now;
            }
            else
            {
                askedAt = leases.Now;
                found = await AskAsync(claim);
            }
        }

        return (found, askedAt);
    }

    private async ValueTask<ClaimResult> AskAsync(ClaimRequest claim)
    {
        // Not the client's token: a claim that was sent is followed to its end, whether the client waits or not.
        var sent = store.ClaimAsync(claim, CancellationToken.None);
        TestHooks.CrashPoint("P1");
        return await sent;
    }
}
