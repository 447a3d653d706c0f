using System.Globalization;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What became of each covered request: one log event and one count, in one place.</summary>
internal sealed class RequestJournal(IdempotencyMetrics metrics, TimeProvider time, ILogger<RequestJournal> logger)
{
    private readonly RefusalLog _refusals = new(time, logger);

    /// <param name="context">The request.</param>
    /// <param name="policy">For the metric; null where none is known yet.</param>
    /// <param name="problem">What it is answered with.</param>
    /// <param name="record">Its record; null when it has none.</param>
    /// <param name="reason">More than the problem's own words; null for those.</param>
    public void Refused(HttpContext context, IdempotencyPolicy? policy, Problem problem, RecordId? record, string? reason)
    {
        if (policy is not null)
        {
            metrics.Request(policy.Name, problem.Slug);
        }

        _refusals.Write(context, problem, record, reason);
    }

    public void ScopeOverlooks(string route, IdempotencyPolicy policy, string what) =>
        Log.ScopeOverlooks(logger, route, policy.Name, what, string.Join(" + ", policy.Scope));

    public void Replayed(IdempotencyPolicy policy, RecordId record, int status)
    {
        metrics.Request(policy.Name, "replayed");
        if (logger.IsEnabled(LogLevel.Debug))
        {
            Log.Replayed(logger, record.Short, policy.Name, status);
        }
    }

    /// <param name="policy">For log and metric.</param>
    /// <param name="record">Its record.</param>
    /// <param name="status">What the backend answered.</param>
    /// <param name="outcome">What that means.</param>
    /// <param name="end">Whether the store has it: nothing is counted as recorded or released that is not.</param>
    public void Forwarded(IdempotencyPolicy policy, RecordId record, int status, OutcomeKind outcome, EndResult end)
    {
        metrics.Request(policy.Name, outcome switch
        {
            OutcomeKind.Answered or OutcomeKind.NotKept or OutcomeKind.Refused or OutcomeKind.NotForwarded when end != EndResult.Recorded => IdempotencyStatus.NotRecorded,
            OutcomeKind.Answered => "recorded",
            OutcomeKind.NotKept => Problem.AnswerNotKept.Slug,
            OutcomeKind.Refused or OutcomeKind.NotForwarded => "released",
            _ => Problem.OutcomeUncertain.Slug,
        });
        if (logger.IsEnabled(LogLevel.Debug))
        {
            Log.Forwarded(logger, record.Short, policy.Name, status, outcome);
        }
    }

    public void Bypassed(IdempotencyPolicy policy)
    {
        metrics.Request(policy.Name, "bypassed");
        Log.Bypassed(logger, policy.Name);
    }

    public void Observed(IdempotencyPolicy policy, string would)
    {
        metrics.Request(policy.Name, $"would-{would}");
        Log.Observed(logger, policy.Name, would);
    }

    public void Probed(IdempotencyPolicy policy, RecordId record, int? status, ProbeVerdict verdict) =>
        Log.Probed(logger, record.Short, policy.Name, status?.ToString(CultureInfo.InvariantCulture) ?? "nothing", verdict);

    public void Uncertain(IdempotencyPolicy policy, RecordId record, string why, Exception? exception) =>
        Log.Uncertain(logger, record.Short, policy.Name, why, exception);

    public void NotRecorded(IdempotencyPolicy policy, RecordId record, int status, EndResult end) => Log.NotRecorded(logger, record.Short, policy.Name, status, end switch
    {
        EndResult.Later => "the store did not take it, and it is tried again in the background",
        EndResult.Dropped => "the store did not take it, and too much waits for it already",
        _ => "the record is another owner's by now, or was ended before",
    });

    public void NeverSent(IdempotencyPolicy policy, RecordId record, string why, ReleasedKey key, Problem problem)
    {
        metrics.Request(policy.Name, problem.Slug);
        Log.NeverSent(logger, record.Short, policy.Name, why, key);
    }

    /// <param name="policy">For the metric.</param>
    /// <param name="result"><c>apart</c>, or <c>inline</c> when the answers' server did not take it.</param>
    public void BodyWritten(IdempotencyPolicy policy, string result) => metrics.AnswerBody(policy.Name, result);

    /// <summary>The answers' server did not take it, and it is too large for the record.</summary>
    public void BodyDropped(IdempotencyPolicy policy, RecordId record, int length)
    {
        metrics.AnswerBody(policy.Name, "dropped");
        Log.BodyDropped(logger, record.Short, policy.Name, length);
    }

    public void BodyFetched(IdempotencyPolicy policy, RecordId record, BodyFetch end)
    {
        metrics.AnswerBody(policy.Name, end.ToString().ToLowerInvariant());
        if (end == BodyFetch.Altered)
        {
            Log.BodyAltered(logger, record.Short, policy.Name);
        }
        else if (end == BodyFetch.Gone)
        {
            Log.BodyGone(logger, record.Short, policy.Name);
        }
    }

    public void UnusableRecord(IdempotencyPolicy policy, RecordId record, RecordParse parse)
    {
        metrics.UnusableRecord(policy.Name, parse.ToString());
        Log.UnusableRecord(logger, record.Short, policy.Name, parse);
    }
}
