using Idempotency.Yarp.Forwarding;
using Microsoft.AspNetCore.Http;
using Xunit;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;
using Yarp.ReverseProxy.Model;

namespace Gateway.Tests.Forwarding;

/// <summary>What of the caller's fields goes into a record, to be sent with a probe.</summary>
public sealed class ProbeOriginTests
{
    [Fact]
    public void OnlyTheFieldsByWhichProxiesTellTheSite_AreKept()
    {
        var route = new RouteConfig { RouteId = "r", ClusterId = "c", Transforms = [new Dictionary<string, string> { ["X-Forwarded"] = "Append", ["HeaderPrefix"] = "X-Fwd-" }] };
        var context = new DefaultHttpContext();
        context.Features.Set<IReverseProxyFeature>(new Feature(new RouteModel(route, cluster: null, HttpTransformer.Empty)));
        string[] kept = ["X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Fwd-Host", "Forwarded", "Connection"];
        string[] others = ["X-Forwarded-Anything", "X-Forwarded-", "X-Forwarded-Host-2", "X-Fwd-Anything", "X-Other", "Cookie"];
        foreach (var name in kept.Concat(others))
        {
            context.Request.Headers[name] = "a";
        }

        Assert.Equal(kept.Order(), ProbeOrigin.Of(context).Fields.Select(field => field.Key).Order());
    }

    private sealed class Feature(RouteModel route) : IReverseProxyFeature
    {
        public RouteModel Route => route;

        public ClusterModel Cluster { get; set; } = null!;

        public IReadOnlyList<DestinationState> AllDestinations => [];

        public IReadOnlyList<DestinationState> AvailableDestinations { get; set; } = [];

        public DestinationState? ProxiedDestination { get; set; }
    }
}
