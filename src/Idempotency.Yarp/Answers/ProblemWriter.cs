using System.Globalization;
using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>Answers with a problem: <c>application/problem+json</c>, a link to the page that explains it, and never a key in it.</summary>
internal static class ProblemWriter
{
    /// <summary>A longer lease says little about when the first request ends; asking again costs one store round trip.</summary>
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(5);

    /// <summary>Before the eight digits by which log lines name a record.</summary>
    private const string InstancePrefix = "urn:idempotency:";

    /// <param name="context">The request.</param>
    /// <param name="problem">What is answered.</param>
    /// <param name="detail">In place of the problem's advice.</param>
    /// <param name="status">In place of the problem's status.</param>
    /// <param name="retryAfter">When to try again.</param>
    /// <param name="record">Becomes the problem's <c>instance</c>, by which its log line is found; null where there is none.</param>
    /// <param name="members">More members.</param>
    public static Task WriteAsync(
        HttpContext context,
        Problem problem,
        string? detail = null,
        int? status = null,
        TimeSpan? retryAfter = null,
        RecordId? record = null,
        Dictionary<string, object?>? members = null)
    {
        context.Features.Set(OwnAnswer.Instance);
        var headers = context.Response.Headers;
        headers.Link = $"<{WellKnownPage.Path}>; rel=\"describedby\"";
        headers.ContentLanguage = "en";
        headers.CacheControl = "no-store";
        if (retryAfter is { } wait)
        {
            var seconds = Math.Ceiling(Math.Clamp(wait.TotalSeconds, 1, MaxRetryAfter.TotalSeconds));
            headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }

        // For clients that look for it to tell a failure from a success, as those of Stripe and OpenAI do.
        var text = detail ?? problem.Advice;
        var code = status ?? problem.Status;
        var all = new Dictionary<string, object?>(members ?? []) { ["error"] = new { type = ErrorType(problem), code = problem.Slug, message = text } };
        return TypedResults.Problem(text, record is { } id ? InstancePrefix + id.Short : null, code, problem.Title, problem.Type, all).ExecuteAsync(context);
    }

    private static string ErrorType(Problem problem) => problem.Status >= 500 ? "api_error" : problem.IsOfTheKey ? "idempotency_error" : "invalid_request_error";
}
