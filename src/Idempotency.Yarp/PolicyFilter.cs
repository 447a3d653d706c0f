using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// Looks at every route that YARP is given, at each load and from whatever provider: one that asks for a policy that is not there, or cannot be
/// protected, fails the load. At start that ends the host; later the routes stay as they were.
/// </summary>
internal sealed class PolicyFilter(PolicyBook policies, Placement placement, ILogger<PolicyFilter> logger) : IProxyConfigFilter
{
    public ValueTask<ClusterConfig> ConfigureClusterAsync(ClusterConfig cluster, CancellationToken cancel) => new(cluster);

    /// <exception cref="InvalidOperationException">All that is wrong with the route.</exception>
    public ValueTask<RouteConfig> ConfigureRouteAsync(RouteConfig route, ClusterConfig? cluster, CancellationToken cancel)
    {
        if (RoutePolicy.IsAskedFor(route))
        {
            placement.Require(route.RouteId);
            var errors = new ConfigurationErrors();
            var all = policies.PoliciesOf(route);
            RouteChecks.Check("ReverseProxy", route, all, errors);
            ProbeRouteChecks.Check("ReverseProxy", [route], all, errors);
            if (errors.Errors.Count > 0)
            {
                throw new InvalidOperationException(string.Join(" ", errors.Errors));
            }

            foreach (var warning in errors.Warnings)
            {
                SettingsLog.Doubtful(logger, warning);
            }
        }

        return new(route);
    }
}
