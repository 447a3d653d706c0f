using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Forwarding;

/// <summary>
/// What a route's transforms of paths make of a probe's path. YARP transforms decoded paths, in which a value's <c>%2F</c> would become
/// <c>%252F</c>, and so another resource; here the path stays as it is encoded. Prefixes only: a transform that gives the path as a whole
/// cannot be applied to a path, and the configuration does not load with one beside a probe.
/// </summary>
internal static class ProbePath
{
    public static string Of(RouteConfig route, string path)
    {
        var result = new PathString(path);
        foreach (var transform in route.Transforms ?? [])
        {
            foreach (var (key, value) in transform)
            {
                if (key.Equals("PathPrefix", StringComparison.OrdinalIgnoreCase))
                {
                    result = Encoded(value).Add(result);
                }
                else if (key.Equals("PathRemovePrefix", StringComparison.OrdinalIgnoreCase) && result.StartsWithSegments(Encoded(value), out var rest))
                {
                    result = rest;
                }
            }
        }

        return result.HasValue ? result.Value : "/";
    }

    /// <summary>As YARP encodes it; with and without the first slash.</summary>
    private static PathString Encoded(string value) =>
        new(RequestUtilities.MakeDestinationAddress("http://backend/", new PathString(value.StartsWith('/') ? value : $"/{value}"), QueryString.Empty).AbsolutePath);
}
