using Yarp.ReverseProxy;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Forwarding;

/// <summary>The routes and clusters that YARP serves now: after the host's filters, and not those of a reload that it refused.</summary>
/// <param name="proxy">YARP.</param>
internal sealed class ProxyRoutes(IProxyStateLookup proxy)
{
    private volatile Snapshot? _current;

    /// <summary>The same instance while nothing changed. Looks at every route, once: for requests whose paths have something encoded.</summary>
    public Snapshot Current
    {
        get
        {
            if (_current is { } known
                && IsSame(known.Served, proxy.GetRoutes().Select(route => route.Config)) && IsSame(known.Clusters, proxy.GetClusters().Select(cluster => cluster.Model.Config)))
            {
                return known;
            }

            return _current = new Snapshot([.. proxy.GetRoutes().Select(route => route.Config)], [.. proxy.GetClusters().Select(cluster => cluster.Model.Config)]);
        }
    }

    /// <summary>By instances, of which YARP makes a new one for each change; to compare what is in them would take long.</summary>
    private static bool IsSame<T>(IReadOnlyList<T> known, IEnumerable<T> now)
        where T : class
    {
        var count = 0;
        foreach (var item in now)
        {
            if (count == known.Count || !ReferenceEquals(known[count++], item))
            {
                return false;
            }
        }

        return count == known.Count;
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
