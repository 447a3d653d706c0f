using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// An answer that sends the client elsewhere, to a place by which the policy knows that nothing was done: to log in, most likely. After that the
/// client comes with the same key, and is served.
/// </summary>
internal static class ReleasingRedirect
{
    /// <param name="response">What the backend answered, before it is given.</param>
    /// <param name="policy">Names the places.</param>
    public static bool Is(HttpResponse response, IdempotencyPolicy policy) =>
        policy.ReleaseRedirectsTo.Count > 0
        && response.StatusCode is 301 or 302 or 303 or 307 or 308
        && response.Headers.Location is [{ Length: > 0 } location]
        && PathOf(response.HttpContext.Request, location) is { } path
        && policy.ReleaseRedirectsTo.Any(place => place.EndsWith("/*", StringComparison.Ordinal)
            ? path.StartsWith(place[..^1], StringComparison.Ordinal)
            : path.Equals(place, StringComparison.Ordinal));

    /// <summary>Relative to what was asked for (RFC 9110, section 10.2.2); on any host, because people log in elsewhere.</summary>
    private static string? PathOf(HttpRequest request, string location) =>
        Uri.TryCreate(new Uri($"http://host{request.PathBase.Add(request.Path).ToUriComponent()}"), location, out var target)
        && (target.Scheme == Uri.UriSchemeHttp || target.Scheme == Uri.UriSchemeHttps) ? target.AbsolutePath : null;
}
