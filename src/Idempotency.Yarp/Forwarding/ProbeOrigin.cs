using System.Net;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// What of a request decides which site it reaches behind its route: by this a probe goes the same way, also when the request is gone.
/// Of the caller's own fields only those are in it by which proxies say what site was asked for; a route passes them on or replaces them.
/// </summary>
/// <param name="Route">Whose transforms it went through.</param>
/// <param name="Cluster">Whose backend it went to.</param>
/// <param name="Scheme">Of the request, for <c>X-Forwarded-Proto</c>.</param>
/// <param name="Host">What the client asked for; a route may forward it, and <c>X-Forwarded-Host</c> tells it.</param>
/// <param name="ClientIp">For <c>X-Forwarded-For</c>; null when it is not known.</param>
/// <param name="Fields">A pair per field line.</param>
/// <param name="RouteValues">Those that the route's transforms may put into fields or the query; else empty.</param>
internal sealed record ProbeOrigin(
    string Route,
    string Cluster,
    string Scheme,
    string Host,
    string? ClientIp,
    IReadOnlyList<KeyValuePair<string, string>> Fields,
    IReadOnlyList<KeyValuePair<string, string>> RouteValues)
{
    private const string Forwarded = "Forwarded";
    private const string XForwarded = "X-Forwarded-";
    private const string HeaderPrefix = "HeaderPrefix";

    /// <summary>What proxies tell behind the prefix. What else callers make up there would only fill the record.</summary>
    private static readonly HashSet<string> Forwardings = new(["For", "Proto", "Host", "Prefix", "Port"], StringComparer.OrdinalIgnoreCase);

    public static ProbeOrigin Of(HttpContext context)
    {
        var route = context.GetReverseProxyFeature().Route.Config;
        var request = context.Request;
        List<string> prefixes = [XForwarded, .. TransformsOf(route).SelectMany(transform => transform).Where(item => Is(item.Key, HeaderPrefix)).Select(item => item.Value)];
        var fields = from field in request.Headers
                     where Is(field.Key, Forwarded) || Is(field.Key, "Connection") || prefixes.Any(prefix => IsForwarding(field.Key, prefix))
                     from value in field.Value
                     select KeyValuePair.Create(field.Key, value ?? "");
        var usesRouteValues = TransformsOf(route).Any(transform => transform.Keys.Any(key => Is(key, "RequestHeaderRouteValue") || Is(key, "QueryRouteParameter")));
        var values = from value in request.RouteValues
                     where usesRouteValues && value.Value is not null
                     select KeyValuePair.Create(value.Key, value.Value!.ToString()!);
        return new ProbeOrigin(
            route.RouteId, route.ClusterId ?? "", request.Scheme, request.Host.Value ?? "", context.Connection.RemoteIpAddress?.ToString(), [.. fields], [.. values]);
    }

    /// <summary>What the route's transforms see: a GET of the gateway's own that came as the request did, with this query.</summary>
    public HttpContext NewContext(QueryString query)
    {
        var context = new DefaultHttpContext();
        var request = context.Request;
        (request.Method, request.Scheme, request.Host, request.Path, request.QueryString) = (HttpMethods.Get, Scheme, new HostString(Host), "/", query);
        context.Connection.RemoteIpAddress = IPAddress.TryParse(ClientIp, out var address) ? address : null;
        foreach (var (name, value) in Fields)
        {
            request.Headers.Append(name, value);
        }

        foreach (var (name, value) in RouteValues)
        {
            request.RouteValues[name] = value;
        }

        return context;
    }

    private static IReadOnlyList<IReadOnlyDictionary<string, string>> TransformsOf(RouteConfig route) => route.Transforms ?? [];

    private static bool IsForwarding(string name, string prefix) =>
        name.StartsWith(prefix, StringComparison.OrdinalIgnoreCase) && Forwardings.Contains(name[prefix.Length..]);

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
