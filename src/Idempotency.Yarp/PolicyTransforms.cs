using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Transforms.Builder;

namespace Idempotency.Yarp;

/// <summary>
/// Looks at every route that YARP is given, at each load and from whatever provider, after all filters: one that asks for a policy that is not there, or
/// cannot be protected, fails the load before anything of it is in force. At start that ends the host; later the routes stay as they were.
/// </summary>
/// <param name="policies">All of them.</param>
/// <param name="placement">Of the middleware.</param>
/// <param name="logger">For warnings; null where somebody else gives them.</param>
internal sealed class PolicyTransforms(PolicyBook policies, Placement placement, ILogger? logger) : ITransformProvider
{
    public void ValidateCluster(TransformClusterValidationContext context)
    {
    }

    public void ValidateRoute(TransformRouteValidationContext context)
    {
        var route = context.Route;
        if (!RoutePolicy.IsAskedFor(route))
        {
            return;
        }

        if (placement.WhyNot(route.RouteId) is { } obstacle)
        {
            context.Errors.Add(new InvalidOperationException(obstacle));
        }

        var (errors, all) = (new ConfigurationErrors(), policies.PoliciesOf(route));
        RouteChecks.Check("ReverseProxy", route, all, errors);
        ProbeRouteChecks.Check("ReverseProxy", [route], all, errors);
        foreach (var error in errors.Errors)
        {
            context.Errors.Add(new InvalidOperationException(error));
        }

        if (logger is not null)
        {
            SettingsLog.Doubtful(logger, errors.Warnings);
        }
    }

    public void Apply(TransformBuilderContext context) => ForwardingTransforms.Add(context, policies);
}
