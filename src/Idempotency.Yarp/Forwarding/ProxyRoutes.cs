using Yarp.ReverseProxy;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Forwarding;

/// <summary>The routes and clusters that YARP serves now: after the host's filters, and not those of a reload that it refused.</summary>
/// <param name="proxy">YARP.</param>
internal sealed class ProxyRoutes(IProxyStateLookup proxy)
{
    private volatile Snapshot? _current;

    /// <summary>The same instance while nothing changed. Looks at every route: for requests that are out of the ordinary.</summary>
    public Snapshot Current
    {
        get
        {
            var (routes, clusters) = (proxy.GetRoutes().Select(route => route.Config).ToList(), proxy.GetClusters().Select(cluster => cluster.Model.Config).ToList());
            return _current is { } known && known.Served.SequenceEqual(routes) && known.Clusters.SequenceEqual(clusters) ? known : _current = new Snapshot(routes, clusters);
        }
    }

    /// <summary>What was served at one time.</summary>
    /// <param name="served">As YARP gives them, in any order.</param>
    /// <param name="clusters">All of them.</param>
    internal sealed class Snapshot(IReadOnlyList<RouteConfig> served, IReadOnlyList<ClusterConfig> clusters)
    {
        public IReadOnlyList<RouteConfig> Served => served;

        /// <summary>By name.</summary>
        public IReadOnlyList<RouteConfig> Routes { get; } = [.. served.OrderBy(route => route.RouteId, StringComparer.OrdinalIgnoreCase)];

        public IReadOnlyList<ClusterConfig> Clusters => clusters;
    }
}
