using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Policies;

/// <summary>How a route says which policy is its own.</summary>
internal static class RoutePolicy
{
    /// <summary>The one line of a route's metadata that makes it idempotent.</summary>
    public const string MetadataKey = "Idempotency";

    /// <summary>The policy that the route's metadata names, as it is on this route; null when it names none, or one that is not there.</summary>
    public static IdempotencyPolicy? Of(RouteConfig route, IReadOnlyDictionary<string, IdempotencyPolicy> policies) =>
        NameOf(route) is { } name && policies.TryGetValue(name, out var policy) ? policy with { FingerprintHost = DecidesByHost(route) } : null;

    /// <summary>Null when the route asks for none, or names none.</summary>
    public static string? NameOf(RouteConfig route) => KeyOf(route) is { } key ? route.Metadata![key] : null;

    /// <summary>The route has the line, whatever it says.</summary>
    public static bool IsAskedFor(RouteConfig route) => KeyOf(route) is not null;

    /// <summary>As it is spelled there: metadata that come from code may tell cases apart.</summary>
    private static string? KeyOf(RouteConfig route) =>
        route.Metadata is not { } metadata ? null : metadata.ContainsKey(MetadataKey) ? MetadataKey : metadata.Keys.FirstOrDefault(key => key.Equals(MetadataKey, StringComparison.OrdinalIgnoreCase));

    /// <summary>The route matches on hosts, or lets the backend see the client's own.</summary>
    private static bool DecidesByHost(RouteConfig route) =>
        route.Match.Hosts is { Count: > 0 }
        || route.Match.Headers?.Any(header => header.Name.Equals("Host", StringComparison.OrdinalIgnoreCase)) is true
        || route.Transforms?.Any(transform => transform.Any(item =>
            item.Key.Equals("RequestHeaderOriginalHost", StringComparison.OrdinalIgnoreCase) && bool.TryParse(item.Value, out var isOn) && isOn)) is true;
}
