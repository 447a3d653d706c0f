using System.Globalization;

namespace Idempotency.Yarp;

/// <summary>Answers with a problem: <c>application/problem+json</c>, a link to the page that explains it, and never a key in it.</summary>
internal static class ProblemWriter
{
    /// <summary>A longer lease says little about when the first request ends; asking again costs one store round trip.</summary>
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>Of a problem's <c>instance</c>, before the eight digits by which log lines name a record.</summary>
    private const string InstancePrefix = "urn:idempotency:";

    public static Task WriteAsync(HttpContext context, Decision.Refuse refusal)
    {
        var problem = refusal.Problem;
        context.Features.Set(OwnAnswer.Instance);
        var headers = context.Response.Headers;
        headers.Link = $"<{WellKnownPage.Path}>; rel=\"describedby\"";
        headers.ContentLanguage = "en";
        headers.CacheControl = "no-store";
        if (refusal.RetryAfter is { } wait)
        {
            var seconds = Math.Ceiling(Math.Clamp(wait.TotalSeconds, 1, MaxRetryAfter.TotalSeconds));
            headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }

        // For clients that look for it to tell a failure from a success, as those of Stripe and OpenAI do.
        var text = refusal.Detail ?? problem.Advice;
        var code = refusal.Status ?? problem.Status;
        var all = new Dictionary<string, object?>(refusal.Members ?? []) { ["error"] = new { type = ErrorType(problem), code = problem.Slug, message = text } };
        return TypedResults.Problem(text, refusal.Record is { } id ? InstancePrefix + id.Short : null, code, problem.Title, problem.Type, all).ExecuteAsync(context);
    }

    /// <summary>In place of an answer that stands in the response and has not begun; what that says of the key stays.</summary>
    public static Task ReplaceAsync(HttpContext context, Decision.Refuse refusal)
    {
        var status = context.Response.Headers[GatewayHeaders.Status];
        context.Response.Clear();
        if (status.Count > 0)
        {
            context.Response.Headers[GatewayHeaders.Status] = status;
        }

        return WriteAsync(context, refusal);
    }

    private static string ErrorType(Problem problem) => problem.Status >= 500 ? "api_error" : problem.IsOfTheKey ? "idempotency_error" : "invalid_request_error";
}
