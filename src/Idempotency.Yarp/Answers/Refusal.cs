using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What the client of a request that was not sent is told.</summary>
/// <param name="Problem">Why.</param>
/// <param name="RetryAfter">When to try again; null for no word on it.</param>
/// <param name="Detail">More on it; null for the problem's own advice.</param>
internal readonly record struct Refusal(Problem Problem, TimeSpan? RetryAfter = null, string? Detail = null)
{
    /// <summary>
    /// The same where the key is free. Where it is not, nobody may be told so: they would use another key, and what an earlier attempt did
    /// would be done again.
    /// </summary>
    public Refusal For(ReleasedKey key, IdempotencyPolicy policy) => key switch
    {
        ReleasedKey.Uncertain => new(Problem.OutcomeUncertain, Detail: "This request was not sent. An earlier one with this key may have taken effect, and nobody knows yet. Repeat it with the same key, not with another."),
        ReleasedKey.FreeLater => new(Problem.StoreUnavailable, Refusals.StoreRetryAfter, "This request was not sent. The store did not confirm that its key is free, so that it may seem to be in use for a while. Repeat it with the same key after the time in Retry-After."),
        ReleasedKey.Taken => new(Problem.InProgress, policy.Lease, "This request was not sent, because another one with this key went first. Repeat it with the same key after the time in Retry-After."),
        _ => this,
    };
}
