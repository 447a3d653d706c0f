using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp;

/// <summary>
/// The rest of a claimed request's way: forward detached from the client, classify, settle, and only then answer. An answer that the
/// client has seen is an answer that the store has; where that fails, the answer says so.
/// </summary>
internal sealed class ClaimedRequest(Settlement settlement, LeaseKeeper leases, Drain drain, BufferBudget budget, PatientWriter writer, RouteTimes times, RequestJournal journal)
{
    /// <summary>No new claims: the process is ending.</summary>
    public bool IsDraining => drain.HasBegun;

    /// <param name="context">The request, with its body read and set back.</param>
    /// <param name="policy">How its answer is delivered and recorded.</param>
    /// <param name="claim">The claim that was had.</param>
    /// <param name="resource">The lock that is held beside it; null for none. It ends as soon as the backend is done.</param>
    /// <param name="next">Forwards.</param>
    public async Task ForwardAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, HeldLock? resource, RequestDelegate next)
    {
        TestHooks.CrashPoint("P2");
        var trace = policy.Mode == PolicyMode.Observe ? new ForwardTrace() : new LeasedForward(leases, claim, resource); // who observes forwards in any case
        var client = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        var clientAborted = context.RequestAborted;
        var body = context.Request.Body;
        var isStreamed = policy.Delivery == Delivery.Streamed || policy.Mode == PolicyMode.Observe;
        var isWaitedFor = resource is not null || (isStreamed && policy.Mode != PolicyMode.Observe); // who observes lets the client set the pace
        await using var spool = isWaitedFor ? writer.Spool(context, client, policy) : null;
        await using var tail = resource is null ? null : new HeldTail(context.Response, spool!);
        ValueTask SettleTombstone(TombstoneReason reason)
        {
            spool?.IsUrgent = resource is not null;
            return SettleTombstoneAsync(context, policy, claim, trace, reason);
        }

        using var capture = new ResponseCapture(
            context,
            (IHttpResponseBodyFeature?)tail ?? spool ?? client,
            isStreamed,
            policy.MaxAnswerBytes,
            budget,
            SettleTombstone,
            isOver: () => clientAborted.IsCancellationRequested && !(spool?.GoesOnFor > TimeSpan.Zero));

        // Forward. A client that hangs up changes nothing from here on; only the end of the process does.
        Exception? escaped = null;
        context.RequestAborted = drain.GiveUp;
        context.Features.Set<ForwardTrace>(trace);
        context.Features.Set<IHttpResponseBodyFeature>(capture);
        context.Request.Body = (trace as LeasedForward)?.Guard(body) ?? body;
        var began = times.Begin();
        try
        {
            await next(context);
            await capture.CompleteAsync();
            times.Took(context, began);
        }
#pragma warning disable CA1031 // the settle guard: whatever went wrong, the claim must be ended
        catch (Exception e)
#pragma warning restore CA1031
        {
            escaped = e;
        }
        finally
        {
            context.Features.Set(client);
            context.RequestAborted = clientAborted;
            context.Request.Body = body;
        }

        if (capture.IsPassedThrough)
        {
            // Settled as a tombstone before its first byte; the client has what there is.
            var isWhole = escaped is null && context.Features.Get<IForwarderErrorFeature>() is null;
            if (!isWhole)
            {
                context.Abort();
            }

            await (resource?.EndAsync(isWhole) ?? default);
            await ((isWhole, spool, tail) switch
            {
                (true, { } rest, { } end) => writer.FinishAsync(context, rest, end),
                (true, { } rest, null) => rest.WhenGivenAsync(), // at the client's pace
                _ => Task.CompletedTask,
            });
            return;
        }

        try
        {
            Task GiveAsync() => !isStreamed ? writer.WriteAsync(context, () => AnswerBody.WriteAsync(context.Response, capture.Body))
                : spool is not null ? writer.FinishAsync(context, spool, tail)
                : Task.CompletedTask;
            await FinishAsync(context, policy, claim, resource, trace, capture, GiveAsync, escaped);
            if (escaped is not null && policy.Mode == PolicyMode.Observe && !context.Response.HasStarted)
            {
                ExceptionDispatchInfo.Throw(escaped); // answered as it would be without this policy
            }
        }
        finally
        {
            if (!claim.IsEnded)
            {
                // The settle guard: a claim must never be left to renewal for ever.
                leases.EndLater(claim, ClaimEnd.MarkUncertain);
            }
        }
    }

    /// <summary>Classifies, settles, and only then answers; an answer that is streamed has been given.</summary>
    private async Task FinishAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, HeldLock? resource, ForwardTrace trace, ResponseCapture capture, Func<Task> giveAsync, Exception? escaped)
    {
        var record = claim.Request.Id;

        // Classify.
        var forwarderError = context.Features.Get<IForwarderErrorFeature>();
        var noStore = policy.NoStore == NoStoreAnswers.Tombstone && RecordedHeaders.HasNoStore(context.Response.Headers);
        var report = new ForwardReport(forwarderError?.Error ?? ForwarderError.None, forwarderError?.Exception ?? escaped, trace, context.Response.StatusCode, noStore, ReleasingRedirect.Is(context.Response, policy));
        var outcome = ForwardOutcome.Classify(report, policy);
        if (outcome.Kind == OutcomeKind.Uncertain && TestHooks.HasDefect("release-on-any-error"))
        {
            outcome = new ForwardOutcome(OutcomeKind.NeverSent);
        }

        await (resource?.EndAsync(outcome.IsBackendDone) ?? default);
        if (IsTakeOver(claim) && outcome.Kind is OutcomeKind.Refused or OutcomeKind.NotForwarded)
        {
            outcome = new ForwardOutcome(OutcomeKind.UncertainAnswer);
        }

        // Settle, then answer.
        TestHooks.CrashPoint("P5");
        if (outcome.Kind == OutcomeKind.NeverSent)
        {
            await AnswerNeverSentAsync(context, policy, claim, trace, Describe(forwarderError));
            return;
        }

        var end = EndResult.Recorded;
        switch (outcome.Kind)
        {
            case OutcomeKind.Answered when TestHooks.HasDefect("answer-before-settle"):
                await giveAsync();
                await context.Response.CompleteAsync();
                TestHooks.CrashPoint("P7");
                await SettleAnswerAsync(context, policy, claim, trace, capture.Body);
                return;

            case OutcomeKind.Answered:
                (outcome, end) = await SettleAnswerAsync(context, policy, claim, trace, capture.Body);
                TestHooks.CrashPoint("P7");
                break;

            case OutcomeKind.NotKept:
                (_, end) = await settlement.SettleAsync(context, policy, claim, trace, outcome.Reason, default);
                break;

            case OutcomeKind.Refused:
            case OutcomeKind.NotForwarded:
                end = await settlement.EndAsync(context, policy, claim, ClaimEnd.Release, IdempotencyStatus.Released);
                break;

            case OutcomeKind.UncertainAnswer:
                journal.Uncertain(policy, record, trace.Status is { } status ? $"the backend answered {status}" : "it was not forwarded", null);
                end = await settlement.EndAsync(context, policy, claim, ClaimEnd.MarkUncertain, IdempotencyStatus.OutcomeUncertain);
                break;

            case OutcomeKind.Uncertain:
                journal.Uncertain(policy, record, Describe(forwarderError), escaped);
                await leases.EndAsync(claim, ClaimEnd.MarkUncertain);
                break;

            default:
                throw new UnreachableException();
        }

        // Before the client has its answer, so that whoever sees the answer sees the count.
        journal.Forwarded(policy, record, trace.Status ?? 0, outcome.Kind, end);
        await (outcome switch
        {
            { Kind: OutcomeKind.Uncertain } => AnswerUncertainAsync(context, policy, claim, "The request was sent and no usable answer came.", outcome.TimedOut),
            { Reason: TombstoneReason.Headers } => AnswerUncertainAsync(context, policy, claim, "The backend executed the request; its answer cannot be relayed.", timedOut: false),
            _ => giveAsync(),
        });
    }

    /// <summary>Only then it is known whether the answer is kept.</summary>
    private async ValueTask<(ForwardOutcome Outcome, EndResult End)> SettleAnswerAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, ReadOnlyMemory<byte> body)
    {
        var (reason, end) = await settlement.SettleAsync(context, policy, claim, trace, TombstoneReason.None, body);
        return (reason == TombstoneReason.None ? new ForwardOutcome(OutcomeKind.Answered) : new ForwardOutcome(OutcomeKind.NotKept, reason), end);
    }

    private async ValueTask SettleTombstoneAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, TombstoneReason reason)
    {
        if (trace.Status is not { } status)
        {
            throw new InvalidOperationException("A body that no backend sent is larger than what can be kept.");
        }

        var kind = OutcomeKind.NotKept;
        EndResult end;
        var isRefused = policy.ReleaseStatuses.Contains(status) || ReleasingRedirect.Is(context.Response, policy);
        if (isRefused && !IsTakeOver(claim))
        {
            kind = OutcomeKind.Refused;
            end = await settlement.EndAsync(context, policy, claim, ClaimEnd.Release, IdempotencyStatus.Released);
        }
        else if (policy.UncertainStatuses.Contains(status) || isRefused)
        {
            kind = OutcomeKind.UncertainAnswer;
            end = await settlement.EndAsync(context, policy, claim, ClaimEnd.MarkUncertain, IdempotencyStatus.OutcomeUncertain);
        }
        else
        {
            (_, end) = await settlement.SettleAsync(context, policy, claim, trace, reason, default);
        }

        journal.Forwarded(policy, claim.Request.Id, status, kind, end);
    }

    /// <summary>Provably not sent: the claim is freed, and the client is told what its key is then.</summary>
    private async Task AnswerNeverSentAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, string why)
    {
        var key = await settlement.ReleaseAsync(context, policy, claim);
        var because = context.Features.Get<IForwarderErrorFeature>()?.Exception is not NotSentException ? new Refusal(Problem.BackendUnreachable)
            : trace is LeasedForward { IsLockLost: true } ? new Refusal(Problem.ResourceLocked, policy.Lease)
            : new Refusal(Problem.StoreUnavailable, Refusals.StoreRetryAfter);
        var refusal = because.For(key, policy);
        journal.NeverSent(policy, claim.Request.Id, why, key, refusal.Problem);
        await AnswerProblemAsync(context, policy, claim, refusal.Problem, refusal.Detail, retryAfter: refusal.RetryAfter);
    }

    /// <summary>An earlier attempt may have been executed, whatever becomes of this one.</summary>
    private static bool IsTakeOver(HeldClaim claim) => claim.Request.Attempt > 1;

    private static Task AnswerUncertainAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, string detail, bool timedOut) =>
        AnswerProblemAsync(context, policy, claim, Problem.OutcomeUncertain, $"{detail} {Problem.OutcomeUncertain.Advice}", timedOut ? 504 : 502);

    /// <summary>An answer that has begun can only be cut, and a policy that observes leaves YARP's own.</summary>
    private static Task AnswerProblemAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, Problem problem, string? detail = null, int? status = null, TimeSpan? retryAfter = null)
    {
        if (context.Response.HasStarted)
        {
            context.Abort();
            return Task.CompletedTask;
        }

        if (policy.Mode == PolicyMode.Observe)
        {
            return Task.CompletedTask;
        }

        ClearAnswer(context);
        return ProblemWriter.WriteAsync(context, problem, detail, status, retryAfter, claim.Request.Id);
    }

    /// <summary>Makes room for an answer of the gateway's own, keeping what it says of the key.</summary>
    private static void ClearAnswer(HttpContext context)
    {
        var status = context.Response.Headers[GatewayHeaders.Status];
        context.Response.Clear();
        if (status.Count > 0)
        {
            context.Response.Headers[GatewayHeaders.Status] = status;
        }
    }

    private static string Describe(IForwarderErrorFeature? error) =>
        error is null ? "the pipeline failed" : $"{error.Error}: {error.Exception?.InnerException?.Message ?? error.Exception?.Message ?? "no details"}";
}
