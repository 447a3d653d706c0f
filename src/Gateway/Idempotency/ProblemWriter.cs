using System.Globalization;

namespace Gateway.Idempotency;

/// <summary>Answers with a problem: <c>application/problem+json</c>, a link to the page that explains it, and never a key in it.</summary>
internal static class ProblemWriter
{
    /// <summary>A longer lease says little about when the first request ends; asking again costs one store round trip.</summary>
    private static readonly TimeSpan MaxRetryAfter = TimeSpan.FromSeconds(5);

    public static Task WriteAsync(
        HttpContext context,
        Problem problem,
        string? detail = null,
        int? status = null,
        TimeSpan? retryAfter = null,
        Dictionary<string, object?>? members = null)
    {
        var headers = context.Response.Headers;
        headers.Link = $"<{WellKnownPage.Path}>; rel=\"describedby\"";
        headers.ContentLanguage = "en";
        headers.CacheControl = "no-store";
        if (retryAfter is { } wait)
        {
            var seconds = Math.Ceiling(Math.Clamp(wait.TotalSeconds, 1, MaxRetryAfter.TotalSeconds));
            headers.RetryAfter = seconds.ToString(CultureInfo.InvariantCulture);
        }

        return TypedResults.Problem(detail ?? problem.Advice, null, status ?? problem.Status, problem.Title, problem.Type, members).ExecuteAsync(context);
    }
}
