using System.Diagnostics;
using Gateway.Forwarding;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Idempotency;

/// <summary>
/// The rest of a claimed request's way: forward detached from the client, classify, settle, and only then answer. An answer that the
/// client has seen is an answer that the store has; where that fails, the answer says so.
/// </summary>
internal sealed class ClaimedRequest(LeaseKeeper leases, Drain drain, BufferBudget budget, TimeProvider time, RequestJournal journal)
{
    /// <summary>No new claims: the process is ending.</summary>
    public bool IsDraining => drain.HasBegun;

    /// <summary>A timestamp to take before the store is asked for a claim.</summary>
    public long Now => time.GetTimestamp();

    /// <summary>Frees, in the background, a claim of which nobody knows whether it stands. Nothing was sent for it.</summary>
    public void ReleaseLater(in ClaimRequest claim, long askedAt) => leases.EndLater(leases.Hold(claim, askedAt), ClaimEnd.Release);

    public async Task ForwardAsync(HttpContext context, IdempotencyPolicy policy, ClaimRequest request, long askedAt, RequestDelegate next)
    {
        var claim = leases.Hold(request, askedAt);
        TestHooks.CrashPoint("P2");
        var trace = new ForwardTrace();
        var client = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        var clientAborted = context.RequestAborted;
        using var capture = new ResponseCapture(
            context, client, policy.MaxAnswerBytes, budget, reason => SettleTombstoneAsync(context, policy, claim, trace, reason), clientAborted);

        // Forward. A client that hangs up changes nothing from here on; only the end of the process does.
        Exception? escaped = null;
        context.RequestAborted = drain.GiveUp;
        context.Features.Set(trace);
        context.Features.Set<IHttpResponseBodyFeature>(capture);
        try
        {
            await next(context);
            await capture.CompleteAsync();
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
        }

        if (capture.IsPassedThrough)
        {
            // Settled as a tombstone before its first byte; the client has what there is.
            if (escaped is not null || context.Features.Get<IForwarderErrorFeature>() is not null)
            {
                context.Abort();
            }

            return;
        }

        try
        {
            await FinishAsync(context, policy, claim, trace, capture, escaped);
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

    /// <summary>Classifies, settles, and only then answers.</summary>
    private async Task FinishAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, ResponseCapture capture, Exception? escaped)
    {
        var record = claim.Request.Id;

        // Classify.
        var forwarderError = context.Features.Get<IForwarderErrorFeature>();
        var noStore = RecordedHeaders.HasNoStore(context.Response.Headers);
        var report = new ForwardReport(forwarderError?.Error ?? ForwarderError.None, forwarderError?.Exception ?? escaped, trace, context.Response.StatusCode, noStore);
        var outcome = ForwardOutcome.Classify(report, policy);
        if (outcome.Kind == OutcomeKind.Uncertain && TestHooks.HasDefect("release-on-any-error"))
        {
            outcome = new ForwardOutcome(OutcomeKind.NeverSent);
        }

        // Settle, then answer.
        TestHooks.CrashPoint("P5");
        journal.Forwarded(policy, record, trace.Status ?? 0, outcome.Kind);
        switch (outcome.Kind)
        {
            case OutcomeKind.Answered when TestHooks.HasDefect("answer-before-settle"):
                await AnswerBody.WriteAsync(context.Response, capture.Body);
                await context.Response.CompleteAsync();
                TestHooks.CrashPoint("P7");
                await SettleAsync(context, policy, claim, trace, TombstoneReason.None, capture.Body);
                break;

            case OutcomeKind.Answered:
                await SettleAsync(context, policy, claim, trace, TombstoneReason.None, capture.Body);
                TestHooks.CrashPoint("P7");
                await AnswerBody.WriteAsync(context.Response, capture.Body);
                break;

            case OutcomeKind.NotKept when outcome.Reason == TombstoneReason.Headers:
                await SettleAsync(context, policy, claim, trace, outcome.Reason, default);
                await AnswerUncertainAsync(context, "The backend executed the request; its answer cannot be relayed.", timedOut: false);
                break;

            case OutcomeKind.NotKept:
                await SettleAsync(context, policy, claim, trace, outcome.Reason, default);
                await AnswerBody.WriteAsync(context.Response, capture.Body);
                break;

            case OutcomeKind.Refused:
            case OutcomeKind.NotForwarded:
                await EndAsync(context, policy, claim, ClaimEnd.Release, IdempotencyStatus.Released);
                await AnswerBody.WriteAsync(context.Response, capture.Body);
                break;

            case OutcomeKind.NeverSent:
                journal.NeverSent(policy, record, Describe(forwarderError));
                await EndAsync(context, policy, claim, ClaimEnd.Release, null);
                ClearAnswer(context);
                await ProblemWriter.WriteAsync(context, Problem.BackendUnreachable);
                break;

            case OutcomeKind.UncertainAnswer:
                journal.Uncertain(policy, record, $"the backend answered {trace.Status}", null);
                await EndAsync(context, policy, claim, ClaimEnd.MarkUncertain, IdempotencyStatus.OutcomeUncertain);
                await AnswerBody.WriteAsync(context.Response, capture.Body);
                break;

            case OutcomeKind.Uncertain:
                journal.Uncertain(policy, record, Describe(forwarderError), escaped);
                await leases.EndAsync(claim, ClaimEnd.MarkUncertain);
                await AnswerUncertainAsync(context, "The request was sent and no usable answer came.", outcome.TimedOut);
                break;

            default:
                throw new UnreachableException();
        }
    }

    private async ValueTask SettleTombstoneAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, TombstoneReason reason)
    {
        if (trace.Status is not { } status)
        {
            throw new InvalidOperationException("A body that no backend sent is larger than what can be kept.");
        }

        var kind = OutcomeKind.NotKept;
        if (policy.ReleaseStatuses.Contains(status))
        {
            kind = OutcomeKind.Refused;
            await EndAsync(context, policy, claim, ClaimEnd.Release, IdempotencyStatus.Released);
        }
        else if (policy.UncertainStatuses.Contains(status))
        {
            kind = OutcomeKind.UncertainAnswer;
            await EndAsync(context, policy, claim, ClaimEnd.MarkUncertain, IdempotencyStatus.OutcomeUncertain);
        }
        else
        {
            await SettleAsync(context, policy, claim, trace, reason, default);
        }

        journal.Forwarded(policy, claim.Request.Id, status, kind);
    }

    private async ValueTask SettleAsync(
        HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ForwardTrace trace, TombstoneReason reason, ReadOnlyMemory<byte> body)
    {
        var status = trace.Status ?? 0;
        var headers = reason == TombstoneReason.Headers ? [] : RecordedHeaders.Of(context.Response.Headers, policy);
        var record = RecordFormat.Write(claim.Request.Id, new StoredResponse(status, headers, body, reason));
        if (!await leases.EndAsync(claim, ClaimEnd.Settle, record))
        {
            journal.NotRecorded(policy, claim.Request.Id, status);
            context.Response.Headers[GatewayHeaders.Status] = IdempotencyStatus.NotRecorded;
        }
        else if (reason != TombstoneReason.None)
        {
            context.Response.Headers[GatewayHeaders.Status] = IdempotencyStatus.AnswerNotKept;
        }
    }

    private async ValueTask EndAsync(HttpContext context, IdempotencyPolicy policy, HeldClaim claim, ClaimEnd end, string? status)
    {
        if (!await leases.EndAsync(claim, end))
        {
            journal.NotRecorded(policy, claim.Request.Id, context.Response.StatusCode);
            status = IdempotencyStatus.NotRecorded;
        }

        if (status is not null)
        {
            context.Response.Headers[GatewayHeaders.Status] = status;
        }
    }

    private static Task AnswerUncertainAsync(HttpContext context, string detail, bool timedOut)
    {
        ClearAnswer(context);
        return ProblemWriter.WriteAsync(context, Problem.OutcomeUncertain, $"{detail} {Problem.OutcomeUncertain.Advice}", timedOut ? 504 : 502);
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
