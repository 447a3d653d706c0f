using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// What becomes of a key whose outcome is uncertain, by policy: nothing, the next attempt, or what the backend says when asked. "Absent" counts
/// only of an attempt that has sent nothing for a while: a slow backend may still be at it, or not have taken it up yet.
/// </summary>
internal sealed class Recovery(IIdempotencyStore store, LeaseKeeper leases, BackendProbe probe, AnswerRecords records, RequestJournal journal)
{
    /// <summary>For a retry.</summary>
    /// <param name="policy">How to ask.</param>
    /// <param name="retries">What to do.</param>
    /// <param name="claim">The retry's claim, which found the key uncertain.</param>
    /// <param name="found">What it found.</param>
    /// <param name="question">What to ask, with <see cref="UncertainRetries.Probe"/>; null when the request does not say.</param>
    /// <param name="cancellationToken">The client is gone.</param>
    /// <returns>What is on record then: claimed as the next attempt, settled with the backend's word, or what was found.</returns>
    /// <exception cref="StoreUnavailableException">No answer in time; the take-over may stand.</exception>
    public async Task<ClaimResult> RecoverAsync(
        IdempotencyPolicy policy, UncertainRetries retries, ClaimRequest claim, ClaimResult found, ProbeQuestion? question, CancellationToken cancellationToken)
    {
        var takeOver = claim with { TakeOver = found.Attempt, Fingerprint = found.Fingerprint };
        switch (retries)
        {
            case UncertainRetries.Retry:
                return await store.ClaimAsync(takeOver, CancellationToken.None);
            case UncertainRetries.Probe when question is not null:
                var (verdict, answer) = await AskAsync(policy, claim.Id, question, cancellationToken);
                return verdict switch
                {
                    ProbeVerdict.Absent when found.Age >= policy.Probe!.AbsentAfter => await store.ClaimAsync(takeOver, CancellationToken.None),
                    ProbeVerdict.Found => await SettleAsync(policy, takeOver, answer!),
                    _ => found,
                };
            default:
                return found;
        }
    }

    /// <summary>For the sweeper: asks, and settles what was found. What is absent waits for its retry, which brings the request along.</summary>
    /// <returns>Whether the key is settled.</returns>
    /// <exception cref="StoreUnavailableException">No answer in time.</exception>
    public async Task<bool> SweepAsync(IdempotencyPolicy policy, UncertainRecord record, ProbeQuestion question, CancellationToken cancellationToken)
    {
        // What the policy expects by now, and the request's question does not know, is for the retry to ask.
        if (!question.Fits(policy.Probe!) || await AskAsync(policy, record.Id, question, cancellationToken) is not (ProbeVerdict.Found, { } answer))
        {
            return false;
        }

        var takeOver = new ClaimRequest(record.Id, ClaimToken.Create(), record.Fingerprint, policy.Lease, policy.Retention, record.Attempt);
        return (await SettleAsync(policy, takeOver, answer)).State == ClaimState.Settled;
    }

    private async Task<(ProbeVerdict Verdict, ProbeAnswer? Answer)> AskAsync(IdempotencyPolicy policy, RecordId id, ProbeQuestion question, CancellationToken cancellationToken)
    {
        var word = await probe.AskAsync(question.Request, AnswerMatch.MaxBytes(policy), answer => AnswerMatch.Judge(policy.Probe!, question, answer), cancellationToken);
        journal.Probed(policy, id, word.Answer?.Status, word.Verdict);
        return word;
    }

    /// <summary>Settles the key with what the probe found, as if it were the first request's answer.</summary>
    private async Task<ClaimResult> SettleAsync(IdempotencyPolicy policy, ClaimRequest takeOver, ProbeAnswer answer)
    {
        var askedAt = leases.Now;
        var claimed = await store.ClaimAsync(takeOver, CancellationToken.None);
        if (claimed.State != ClaimState.Claimed)
        {
            return claimed; // somebody else was faster
        }

        var noStore = policy.NoStore == NoStoreAnswers.Tombstone && RecordedHeaders.HasNoStore(answer.Headers);
        var isTooLarge = answer.Body is null || answer.Body.Length > policy.MaxAnswerBytes;
        var reason = isTooLarge ? TombstoneReason.TooLarge : ForwardOutcome.ReasonNotToKeep(answer.Trace, noStore);
        var body = reason == TombstoneReason.None ? answer.Body : null;
        var mine = takeOver with { Attempt = claimed.Attempt };
        var held = leases.Hold(mine, askedAt);
        var written = await records.WriteAsync(policy, mine, new StoredResponse(answer.Status, RecordedHeaders.Of(answer.Headers, policy), body, reason));
        return await leases.EndAsync(held, ClaimEnd.Settle, written.Record) == EndResult.Recorded
            ? new ClaimResult(ClaimState.Settled, takeOver.Fingerprint, Answer: written.Record, Attempt: claimed.Attempt)
            : new ClaimResult(ClaimState.Uncertain, takeOver.Fingerprint, Attempt: claimed.Attempt);
    }
}
