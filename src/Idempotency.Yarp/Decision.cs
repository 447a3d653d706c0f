using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What becomes of a covered request. Made by <see cref="Decider"/> (steps 3 to 7), carried out by one switch (step 8).</summary>
internal abstract record Decision
{
    private Decision()
    {
    }

    /// <summary>On to the backend unprotected: there is no key and none is asked for, or the policy only observes.</summary>
    public sealed record PassOn : Decision
    {
        public static readonly PassOn Instance = new();
    }

    /// <summary>The store is down, and the policy prefers an unprotected request to none.</summary>
    public sealed record Bypass : Decision
    {
        public static readonly Bypass Instance = new();
    }

    /// <summary>On to the backend as the one request that may: it holds a claim, a lock, or both.</summary>
    /// <param name="Claim">Null for a request without a key.</param>
    /// <param name="Lock">Null for a policy that locks nothing.</param>
    public sealed record Forward(HeldClaim? Claim, HeldLock? Lock) : Decision;

    /// <summary>The answer that is on record.</summary>
    /// <param name="Key">Where it stands.</param>
    /// <param name="Answer">As it was recorded; a body that is kept apart is not fetched yet.</param>
    public sealed record Replay(FoundKey Key, StoredResponse Answer) : Decision;

    /// <summary>A problem, in place of the backend's answer.</summary>
    /// <param name="Problem">What is answered.</param>
    /// <param name="Detail">In place of the problem's own advice; null for that.</param>
    /// <param name="RetryAfter">When to try again; null for no word on it.</param>
    /// <param name="Record">Whose problem it is; null where there is no record yet.</param>
    public sealed record Refuse(Problem Problem, string? Detail = null, TimeSpan? RetryAfter = null, RecordId? Record = null) : Decision
    {
        /// <summary>In place of the problem's own status.</summary>
        public int? Status { get; init; }

        /// <summary>More members of the problem document.</summary>
        public Dictionary<string, object?>? Members { get; init; }

        /// <summary>What is left of the request cannot be forwarded, whatever the policy's mode.</summary>
        public bool CannotBeForwarded { get; init; }

        /// <summary>
        /// The same where the key is free. Where it is not, nobody may be told so: they would use another key, and what an earlier attempt did
        /// would be done again.
        /// </summary>
        /// <param name="key">What became of the key.</param>
        /// <param name="policy">Whose lease another request holds, if one does.</param>
        public Refuse GivenKey(ReleasedKey key, IdempotencyPolicy policy) => key switch
        {
            ReleasedKey.Uncertain => new(Problem.OutcomeUncertain, "This request was not sent. An earlier one with this key may have taken effect, and nobody knows yet. Repeat it with the same key, not with another.", Record: Record),
            ReleasedKey.FreeLater => new(Problem.StoreUnavailable, "This request was not sent. The store did not confirm that its key is free, so that it may seem to be in use for a while. Repeat it with the same key after the time in Retry-After.", Refusals.SoonRetryAfter, Record),
            ReleasedKey.Taken => new(Problem.InProgress, "This request was not sent, because another one with this key went first. Repeat it with the same key after the time in Retry-After.", policy.Lease, Record),
            _ => this,
        };
    }
}
