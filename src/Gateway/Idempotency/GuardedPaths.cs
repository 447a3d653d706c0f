using Gateway.Configuration;
using Gateway.Forwarding;
using Gateway.Policies;
using Microsoft.AspNetCore.Routing.Template;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Idempotency;

/// <summary>
/// Keeps a request from reaching a protected resource by a path that routing takes for another: whatever the backend may read the path as must not
/// lead to a route with another policy, nor to another value that the policy locks.
/// </summary>
internal sealed class GuardedPaths(LiveSettings live)
{
    private volatile RouteTable? _table;

    /// <param name="context">A proxied request.</param>
    /// <param name="policy">Of its route, if that covers it; null when it is on its way unprotected.</param>
    /// <returns>What is wrong, in words for the client; null when the path means one thing.</returns>
    public string? FindDefect(HttpContext context, IdempotencyPolicy? policy)
    {
        var readings = PathReadings.Of(RequestTarget.Of(context));
        if (readings.Count == 0)
        {
            return null;
        }

        var settings = live.Current;
        var table = _table;
        if (table?.Settings != settings)
        {
            _table = table = new RouteTable(settings);
        }

        var seen = context.Request.Path.Value;
        var route = context.GetReverseProxyFeature().Route.Config;
        foreach (var reading in readings.Where(reading => !reading.Equals(seen, StringComparison.OrdinalIgnoreCase)))
        {
            if (table.ReachesAnotherPolicy(reading, route, policy, context.Request.Method))
            {
                return "The path can be read as that of a protected resource: it has encoded separators, dot segments, parameters or the like. Nothing was forwarded.";
            }

            if (policy?.Lock is { } locked && table.ChangesAValue(reading, route, locked, context.Request.RouteValues))
            {
                return "The path can be read in more than one way, and names the resource to be locked. Nothing was forwarded.";
            }
        }

        return null;
    }

    /// <summary>The routes of one configuration, in the order in which routing tries them.</summary>
    private sealed class RouteTable
    {
        private readonly List<(RouteConfig Route, TemplateMatcher Matcher, IdempotencyPolicy? Policy, HashSet<string> Addresses)> _routes;

        public RouteTable(GatewaySettings settings)
        {
            Settings = settings;
            var addresses = settings.Clusters.ToDictionary(
                cluster => cluster.ClusterId,
                cluster => (cluster.Destinations?.Values.Select(destination => new Uri(destination.Address).Authority) ?? []).ToHashSet(StringComparer.OrdinalIgnoreCase),
                StringComparer.OrdinalIgnoreCase);
            _routes =
            [
                .. from route in settings.Routes
                   let template = TemplateParser.Parse(route.Match.Path?.TrimStart('/') is { Length: > 0 } path ? path : "{**all}")
                   orderby route.Order ?? 0, RoutePrecedence.ComputeInbound(template)
                   select (route, new TemplateMatcher(template, []), settings.PolicyOf(route), addresses.GetValueOrDefault(route.ClusterId ?? "") ?? []),
            ];
        }

        public GatewaySettings Settings { get; }

        public bool ReachesAnotherPolicy(string path, RouteConfig from, IdempotencyPolicy? policy, string method)
        {
            var own = _routes.Find(item => item.Route.RouteId.Equals(from.RouteId, StringComparison.OrdinalIgnoreCase)).Addresses ?? [];
            foreach (var (route, matcher, guard, addresses) in _routes)
            {
                if (!matcher.TryMatch(path, []) || (route.Match.Methods is { Count: > 0 } methods && !methods.Contains(method, StringComparer.OrdinalIgnoreCase)))
                {
                    continue;
                }

                if (guard is not null && guard.Covers(method) && guard.Name != policy?.Name && addresses.Overlaps(own))
                {
                    return true;
                }

                if (route.Match is { Hosts: not { Count: > 0 }, Headers: not { Count: > 0 }, QueryParameters: not { Count: > 0 } })
                {
                    return false; // this is the one, whatever else the request has
                }
            }

            return false;
        }

        public bool ChangesAValue(string path, RouteConfig route, LockPolicy locked, RouteValueDictionary values)
        {
            var names = locked.On.Where(selector => selector.Kind == SelectorKind.Route).Select(selector => selector.Name).ToList();
            var found = new RouteValueDictionary();
            return names.Count > 0
                && _routes.Find(item => item.Route.RouteId.Equals(route.RouteId, StringComparison.OrdinalIgnoreCase)).Matcher is { } matcher
                && (!matcher.TryMatch(path, found) || names.Exists(name => !Equals(found[name]?.ToString(), values[name]?.ToString())));
        }
    }
}
