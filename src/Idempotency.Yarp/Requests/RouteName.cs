using Yarp.ReverseProxy.Model;

namespace Idempotency.Yarp;

/// <summary>By what logs and what is remembered of routes tell them apart.</summary>
internal static class RouteName
{
    /// <summary>The route's name in the configuration; <c>-</c> for a request that YARP did not route.</summary>
    public static string Of(HttpContext context) => context.Features.Get<IReverseProxyFeature>()?.Route.Config.RouteId ?? "-";
}
