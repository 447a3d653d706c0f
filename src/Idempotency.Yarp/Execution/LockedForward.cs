using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp;

/// <summary>Steps 9 to 12 of a request that holds a lock and has no key: forwarded detached from the client, so that the lock is held until the backend is done.</summary>
internal static class LockedForward
{
    public static async Task RunAsync(ForwardRunner forwards, HttpContext context, IdempotencyPolicy policy, HeldLock held, RequestDelegate next)
    {
        var trace = new LeasedTrace(forwards.Leases, claim: null, held);
        var clientAborted = context.RequestAborted;
        var body = context.Request.Body;
        var isDone = false;

        var client = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        await using var spool = forwards.Writer.Spool(context, client, policy);
        await using var tail = new HeldTail(context.Response, spool);

        // Once the answer has begun, a client that is gone ends it: it may never end by itself. The lock is then left to its lease. Without one
        // that was only too slow the answer goes on, for a while: it is about to end, and the lock with it.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(forwards.Drain.GiveUp);
        var isForwarding = true; // an answer without content begins when all of this is over
        context.Response.OnStarting(() => isForwarding && clientAborted.IsCancellationRequested ? stop.CancelAsync() : Task.CompletedTask);
        await using var gone = clientAborted.Register(() =>
        {
            if (context.Response.HasStarted)
            {
                stop.CancelAfter(spool.GoesOnFor);
            }
        });
        context.Features.Set<IHttpResponseBodyFeature>(tail);
        context.RequestAborted = stop.Token;
        context.Features.Set<ForwardTrace>(trace);
        context.Request.Body = trace.Guard(body);
        var began = forwards.Times.Begin();
        try
        {
            await next(context);
            forwards.Times.Took(context, began);
            var error = context.Features.Get<IForwarderErrorFeature>();
            var report = new ForwardReport(error?.Error ?? ForwarderError.None, error?.Exception, trace, context.Response.StatusCode, NoStore: false, ReleasingRedirect.Is(context.Response, policy));
            isDone = ForwardOutcome.Classify(report, policy).IsBackendDone;
        }
        finally
        {
            isForwarding = false;
            context.RequestAborted = clientAborted;
            context.Request.Body = body;
            context.Features.Set(client);
            await held.EndAsync(isDone);
        }

        await forwards.Writer.FinishAsync(context, spool, tail);

        var failure = context.Features.Get<IForwarderErrorFeature>();
        if (failure?.Error == ForwarderError.RequestBodyClient && !context.Response.HasStarted)
        {
            context.Response.StatusCode = StatusCodes.Status502BadGateway; // the body was here as a whole: not the client's fault, as YARP thinks
        }

        if (failure?.Exception is NotSentException && !context.Response.HasStarted)
        {
            var refusal = trace.Refusal(policy);
            forwards.Journal.Refused(context, policy, refusal.Problem, record: null, refusal.Detail);
            await ProblemWriter.ReplaceAsync(context, refusal);
        }
    }
}
