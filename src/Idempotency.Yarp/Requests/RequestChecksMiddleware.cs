namespace Idempotency.Yarp;

/// <summary>Refuses what no route forwards, before anything else looks at it.</summary>
internal sealed class RequestChecksMiddleware(RequestDelegate next, RequestJournal journal)
{
    public Task InvokeAsync(HttpContext context)
    {
        if (RequestChecks.Check(context.Request) is not var (status, reason))
        {
            return next(context);
        }

        journal.Refused(context, policy: null, Problem.RequestInvalid, record: null, reason);
        return ProblemWriter.WriteAsync(context, Problem.RequestInvalid, reason, status);
    }
}
