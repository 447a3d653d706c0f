using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Routing.Template;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// Keeps a request from reaching a protected resource by a path that routing takes for another: whatever the backend may read the path as must not
/// lead to a route with another policy, nor to another value that the policy locks.
/// </summary>
internal sealed class GuardedPaths(PolicyBook policies, ProxyRoutes routes)
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

        var (config, table) = (routes.Current, _table);
        if (table?.Config != config)
        {
            _table = table = new RouteTable(config, policies);
        }

        var seen = context.Request.Path.Value;
        var route = context.GetReverseProxyFeature().Route.Config;
        foreach (var reading in readings.Where(reading => !reading.Equals(seen, StringComparison.OrdinalIgnoreCase)))
        {
            if (table.ReachesAnotherPolicy(reading, seen ?? "/", route, policy, context.Request))
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

    /// <summary>The routes of one configuration, in the order in which routing tries them. Paths are given decoded: a string would be decoded once more.</summary>
    private sealed class RouteTable
    {
        private readonly List<Entry> _routes;

        public RouteTable(ProxyRoutes.Snapshot config, PolicyBook policies)
        {
            Config = config;
            var addresses = config.Clusters.ToDictionary(
                cluster => cluster.ClusterId,
                cluster => (cluster.Destinations?.Values.Select(destination => Uri.TryCreate(destination.Address, UriKind.Absolute, out var address) ? address.Authority : destination.Address) ?? []).ToHashSet(StringComparer.OrdinalIgnoreCase),
                StringComparer.OrdinalIgnoreCase);
            _routes =
            [
                .. from route in config.Routes
                   let template = TemplateParser.Parse(route.Match.Path?.TrimStart('/') is { Length: > 0 } path ? path : "{**all}")
                   let rank = (route.Order ?? 0, RoutePrecedence.ComputeInbound(template))
                   orderby rank
                   select new Entry(route, new TemplateMatcher(template, []), rank, policies.PolicyOf(route), addresses.GetValueOrDefault(route.ClusterId ?? "") ?? []),
            ];
        }

        public ProxyRoutes.Snapshot Config { get; }

        public bool ReachesAnotherPolicy(string path, string seen, RouteConfig from, IdempotencyPolicy? policy, HttpRequest request)
        {
            if (Find(from) is not { } own)
            {
                return false;
            }

            foreach (var entry in _routes)
            {
                if (!entry.Matcher.TryMatch(new PathString(path), []) || !MayServe(entry.Route, request))
                {
                    continue;
                }

                // Had its path been all that is asked for, it would have been taken for the path that routing saw: something else about the request is not as it wants.
                var isForOthers = entry.Rank.CompareTo(own.Rank) <= 0 && entry != own && entry.Matcher.TryMatch(new PathString(seen), []);
                if (!isForOthers && entry.Policy is { } guard && guard.Covers(request.Method) && guard.Name != policy?.Name && entry.Addresses.Overlaps(own.Addresses))
                {
                    return true;
                }

                if (entry.Route.Match is { Headers: not { Count: > 0 }, QueryParameters: not { Count: > 0 } })
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
                && Find(route)?.Matcher is { } matcher
                && (!matcher.TryMatch(new PathString(path), found) || names.Exists(name => !IsSame(found[name]?.ToString(), values[name]?.ToString())));
        }

        /// <summary>A reading as it was sent is not decoded yet, which makes no other value of it.</summary>
        private static bool IsSame(string? reading, string? seen) => reading == seen || (reading is not null && Uri.UnescapeDataString(reading) == seen);

        private Entry? Find(RouteConfig route) => _routes.Find(entry => entry.Route.RouteId.Equals(route.RouteId, StringComparison.OrdinalIgnoreCase));

        /// <summary>By method and host, which no reading of the path changes. Hosts as YARP's: <c>name</c>, <c>name:port</c>, <c>*.name</c>.</summary>
        private static bool MayServe(RouteConfig route, HttpRequest request) =>
            (route.Match.Methods is not { Count: > 0 } methods || methods.Contains(request.Method, StringComparer.OrdinalIgnoreCase))
            && (route.Match.Hosts is not { Count: > 0 } hosts || hosts.Any(host => IsHost(new HostString(host), request.Host)));

        private static bool IsHost(HostString pattern, HostString host) =>
            (pattern.Port is null || host.Port is null || pattern.Port == host.Port)
            && (pattern.Host == "*"
                || pattern.Host.Equals(host.Host, StringComparison.OrdinalIgnoreCase)
                || (pattern.Host.StartsWith("*.", StringComparison.Ordinal) && host.Host.EndsWith(pattern.Host[1..], StringComparison.OrdinalIgnoreCase)));

        private sealed record Entry(RouteConfig Route, TemplateMatcher Matcher, (int Order, decimal Precedence) Rank, IdempotencyPolicy? Policy, HashSet<string> Addresses);
    }
}
