using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// What a route's transforms of paths make of a probe's path. YARP transforms decoded paths, in which a value's <c>%2F</c> would become
/// <c>%252F</c>, and so another resource; here the path stays as it is encoded. Prefixes only: a transform that gives the path as a whole
/// cannot be applied to a path, and the configuration does not load with one beside a probe.
/// </summary>
internal static class ProbePath
{
    public static string Of(RouteConfig route, string path) => Of(route, path, seen: null)!;

    /// <param name="route">Whose prefixes.</param>
    /// <param name="path">As it is encoded.</param>
    /// <param name="seen">The same as the server decoded it, by which YARP finds prefixes; null for a path that nobody decoded.</param>
    /// <returns>Null where the two differ in a prefix: it is spelled in another way.</returns>
    public static string? Of(RouteConfig route, string path, PathString? seen)
    {
        var result = new PathString(path);
        foreach (var transform in route.Transforms ?? [])
        {
            foreach (var (key, value) in transform)
            {
                if (key.Equals("PathPrefix", StringComparison.OrdinalIgnoreCase))
                {
                    result = Encoded(value).Add(result);
                    seen = seen is { } before ? Plain(value).Add(before) : null;
                }
                else if (key.Equals("PathRemovePrefix", StringComparison.OrdinalIgnoreCase))
                {
                    var isThere = result.StartsWithSegments(Encoded(value), out var rest);
                    if (seen is { } decoded)
                    {
                        if (decoded.StartsWithSegments(Plain(value), out var left) != isThere)
                        {
                            return null;
                        }

                        seen = isThere ? left : decoded;
                    }

                    result = isThere ? rest : result;
                }
            }
        }

        return result.HasValue ? result.Value : "/";
    }

    /// <summary>As YARP encodes it; with and without the first slash.</summary>
    private static PathString Encoded(string value) => new(RequestUtilities.MakeDestinationAddress("http://backend/", Plain(value), QueryString.Empty).AbsolutePath);

    private static PathString Plain(string value) => new(value.StartsWith('/') ? value : $"/{value}");
}
