namespace Idempotency.Yarp;

/// <summary>Refuses what no route forwards, before anything else looks at it.</summary>
internal sealed class RequestChecksMiddleware(RequestDelegate next, Refusals refusals)
{
    public Task InvokeAsync(HttpContext context) => RequestChecks.Check(context.Request) is var (status, reason)
        ? refusals.AnswerAsync(context, policy: null, new Decision.Refuse(Problem.RequestInvalid, reason) { Status = status })
        : next(context);
}
