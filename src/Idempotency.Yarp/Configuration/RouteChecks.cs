using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Configuration;

/// <summary>What a route says of itself, beside the policy that it asks for.</summary>
internal static class RouteChecks
{
    /// <param name="section">Where routes are written, for messages.</param>
    /// <param name="route">The route.</param>
    /// <param name="policies">All of them.</param>
    /// <param name="errors">Taken down here.</param>
    public static void Check(string section, RouteConfig route, IReadOnlyDictionary<string, IdempotencyPolicy> policies, ConfigurationErrors errors)
    {
        if (!RoutePolicy.IsAskedFor(route))
        {
            return;
        }

        var path = $"{section}:Routes:{route.RouteId}:Metadata:{RoutePolicy.MetadataKey}";
        var name = RoutePolicy.NameOf(route);

        // Null when it is written as null or as an object.
        if (name is null || !policies.TryGetValue(name, out var policy))
        {
            errors.Add(path, name ?? "", $"the name of a policy: {Suggestion.Among([.. policies.Keys], name ?? "")}");
            return;
        }

        if (route.MaxRequestBodySize is not null)
        {
            errors.Add($"{section}:Routes:{route.RouteId}:MaxRequestBodySize", null, "does not apply to a route with a policy; set MaxRequestBodyBytes in the policy");
        }

        if (route.Match.Methods is { Count: > 0 } methods && !methods.Any(policy.Covers))
        {
            errors.Warn(path, $"the route matches {string.Join(", ", methods)} only, and policy {name} covers {string.Join(", ", policy.Methods)}: it protects nothing");
        }
    }

    /// <summary>Policies that somebody wrote for no route.</summary>
    /// <param name="section">Where policies are written, for messages.</param>
    /// <param name="routes">All of them.</param>
    /// <param name="policies">All of them.</param>
    /// <param name="errors">Taken down here.</param>
    public static void WarnOfUnused(string section, IReadOnlyList<RouteConfig> routes, IReadOnlyDictionary<string, IdempotencyPolicy> policies, ConfigurationErrors errors)
    {
        var used = routes.Select(RoutePolicy.NameOf).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var name in policies.Keys.Where(name => !name.Equals(IdempotencyPolicy.DefaultName, StringComparison.OrdinalIgnoreCase) && !used.Contains(name)))
        {
            errors.Warn($"{section}:Policies:{name}", "no route uses this policy");
        }
    }
}
