using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>Answers requests that are not forwarded with a problem, and says when to come again.</summary>
internal sealed class Refusals(RouteTimes times, RequestJournal journal)
{
    /// <summary>When to ask again where the store failed or there was no room: about as long as it takes to reconnect.</summary>
    public static readonly TimeSpan SoonRetryAfter = TimeSpan.FromSeconds(2);

    /// <summary>Another instance can take the request at once.</summary>
    public static readonly TimeSpan DrainRetryAfter = TimeSpan.FromSeconds(1);

    /// <param name="context">The request.</param>
    /// <param name="policy">Null for a request that none covers.</param>
    /// <param name="refusal">What it is told.</param>
    public Task AnswerAsync(HttpContext context, IdempotencyPolicy? policy, Decision.Refuse refusal)
    {
        var problem = refusal.Problem;
        journal.Refused(context, policy, problem, refusal.Record, refusal.Detail);
        if (policy is not null && (problem == Problem.InProgress || problem == Problem.ResourceLocked))
        {
            refusal = refusal with { RetryAfter = times.Until(context, refusal.RetryAfter ?? policy.Lease) };
        }

        if (problem == Problem.RequestTimeout)
        {
            context.Response.Headers.Connection = "close"; // the rest is not waited for (RFC 9110, section 15.5.9)
        }

        return ProblemWriter.WriteAsync(context, refusal);
    }
}
