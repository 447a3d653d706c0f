using System.Diagnostics;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Everything that is said to a request which is not forwarded as the first of its key. A policy that observes says it beside the
/// backend's own answer, and forwards.
/// </summary>
internal sealed class Refusals(AnswerRecords records, NearCopies copies, BufferBudget budget, PatientWriter writer, RouteTimes times, TimeProvider time, RequestJournal journal)
{
    /// <summary>When to ask again after the store failed: about as long as it takes to reconnect.</summary>
    public static readonly TimeSpan StoreRetryAfter = TimeSpan.FromSeconds(2);

    /// <summary>Another instance can take the request at once.</summary>
    public static readonly TimeSpan DrainRetryAfter = TimeSpan.FromSeconds(1);

    public bool IsExpired(HttpContext context, IdempotencyPolicy policy, string key) =>
        KeyAge.IsExpired(policy, key, context.Request.Headers, time.GetUtcNow());

    /// <summary>In words for the client; null where it is not known what differs.</summary>
    public static string? OtherRequest(IReadOnlyList<string> differences) => differences.Count == 0
        ? null
        : $"The key belongs to another request. What differs: {string.Join(", ", differences)}. Use a fresh key for a new operation, or repeat the original request unchanged.";

    public async Task RefuseAsync(
        HttpContext context,
        IdempotencyPolicy policy,
        Problem problem,
        RequestDelegate next,
        string? detail = null,
        TimeSpan? retryAfter = null,
        RecordId? record = null,
        Dictionary<string, object?>? members = null)
    {
        if (policy.Mode == PolicyMode.Observe)
        {
            Observed(context, policy, problem.Slug);
            await next(context);
            return;
        }

        await EndAsync(context, policy, problem, detail, retryAfter, record, members);
    }

    /// <summary>Of a request that no policy covers.</summary>
    public Task RefuseUncoveredAsync(HttpContext context, IdempotencyPolicy? policy, string reason)
    {
        journal.Refused(context, policy, Problem.RequestInvalid, record: null, reason);
        return ProblemWriter.WriteAsync(context, Problem.RequestInvalid, reason);
    }

    /// <summary>Refuses also where a policy only observes: what is left of the request cannot be forwarded.</summary>
    private Task EndAsync(
        HttpContext context,
        IdempotencyPolicy policy,
        Problem problem,
        string? detail = null,
        TimeSpan? retryAfter = null,
        RecordId? record = null,
        Dictionary<string, object?>? members = null)
    {
        journal.Refused(context, policy, problem, record, detail);
        if (problem == Problem.InProgress || problem == Problem.ResourceLocked)
        {
            retryAfter = times.Until(context, retryAfter ?? policy.Lease);
        }

        return ProblemWriter.WriteAsync(context, problem, detail, retryAfter: retryAfter, record: record, members: members);
    }

    public Task RefuseBodyAsync(HttpContext context, IdempotencyPolicy policy, BodyRead read, RequestDelegate next)
    {
        switch (read)
        {
            case BodyRead.TooLarge:
                return RefuseAsync(context, policy, Problem.RequestTooLarge, next, $"The body is larger than {policy.MaxRequestBodyBytes} bytes (MaxRequestBodyBytes of the policy {policy.Name}).");
            case BodyRead.NoRoom:
                return RefuseAsync(context, policy, Problem.RequestNotBuffered, next, retryAfter: StoreRetryAfter);
            case BodyRead.Lost:
                return EndAsync(context, policy, Problem.RequestNotBuffered, retryAfter: StoreRetryAfter);
            case BodyRead.TimedOut:
                context.Response.Headers.Connection = "close"; // the rest is not waited for (RFC 9110, section 15.5.9)
                return EndAsync(context, policy, Problem.RequestTimeout);
            case BodyRead.Malformed:
                return EndAsync(context, policy, Problem.RequestInvalid, "The size of a chunk is not valid.");
            default:
                throw new UnreachableException();
        }
    }

    /// <summary>Answers from a settled record.</summary>
    public async Task AnswerSettledAsync(HttpContext context, IdempotencyPolicy policy, KeyClaim claim, RequestDelegate next)
    {
        var id = claim.Request.Id;
        var answer = records.Read(policy, id, claim.Found.Answer);
        if (answer.Stored is not { } stored)
        {
            await RefuseAsync(context, policy, answer, id, next);
            return;
        }

        if (policy.Mode == PolicyMode.Observe)
        {
            Observed(context, policy, "replayed"); // whether a body that is kept apart is still there is not looked at
            await next(context);
            return;
        }

        var isApart = stored.Apart is not null;
        if (isApart)
        {
            answer = await records.FetchAsync(policy, id, stored);
            if (answer.Stored is null)
            {
                await RefuseAsync(context, policy, answer, id, next);
                return;
            }

            stored = answer.Stored;
        }

        // A client that reads slowly holds the answer in memory for as long; one that is a near copy is there, and counted, anyway.
        using var near = copies.Pin(id, stored.Body);
        if (near is null && !budget.TryTakeForReplay(stored.Body.Length))
        {
            await RefuseAsync(context, policy, Problem.StoreUnavailable, next, "The request was executed, and there is no room to give its recorded answer at the moment. Repeat it with the same key.", StoreRetryAfter, id);
            return;
        }

        try
        {
            KeepNear(claim, stored, isApart);
            journal.Replayed(policy, id, stored.Status);
            await writer.WriteAsync(context, () => Replay.WriteAsync(context, stored));
        }
        finally
        {
            if (near is null)
            {
                budget.Return(stored.Body.Length);
            }
        }
    }

    /// <summary>For the next retry. A copy of a body that was kept apart is made only where it is wanted, and only the near copies hold it.</summary>
    private void KeepNear(KeyClaim claim, StoredResponse stored, bool isApart)
    {
        var id = claim.Request.Id;
        if (!isApart || copies.Wants(id, stored.Body.Length))
        {
            copies.Add(id, claim.Found.Fingerprint, isApart ? records.Whole(id, stored) : claim.Found.Answer, claim.AskedAt.Timestamp, claim.Found.Remaining);
        }
    }

    /// <summary>Says what a settled record says when its answer cannot be given.</summary>
    private Task RefuseAsync(HttpContext context, IdempotencyPolicy policy, RecordedAnswer answer, RecordId id, RequestDelegate next) => RefuseAsync(
        context, policy, answer.Problem!, next, answer.Detail, answer.Problem == Problem.StoreUnavailable ? StoreRetryAfter : null, id, answer.Members);

    /// <summary>The store is down, and the policy prefers an unprotected request to none.</summary>
    public async Task BypassAsync(HttpContext context, IdempotencyPolicy policy, RequestDelegate next)
    {
        journal.Bypassed(policy);
        context.Response.Headers[GatewayHeaders.Status] = IdempotencyStatus.Bypassed;
        context.Features.Set(new ForwardTrace()); // so that the backend's own word on it is removed
        await next(context);
    }

    /// <summary>Tells what would have happened, beside the answer that is on its way.</summary>
    public void Observed(HttpContext context, IdempotencyPolicy policy, string would)
    {
        journal.Observed(policy, would);
        context.Response.Headers[GatewayHeaders.Status] = $"{IdempotencyStatus.Bypassed}; would={would}";
        context.Features.Set(new ForwardTrace());
    }
}
