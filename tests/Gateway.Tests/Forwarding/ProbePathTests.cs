using Idempotency.Yarp.Forwarding;
using Xunit;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Tests.Forwarding;

/// <summary>A probe's path goes through the route's prefixes as a request's does, and stays encoded as it is.</summary>
public sealed class ProbePathTests
{
    [Theory]
    [InlineData("/payments/a%2Fb%252F", "/payments/a%2Fb%252F")]
    [InlineData("/payments/a%2Fb%252F", "/v2/payments/a%2Fb%252F", "PathPrefix", "/v2")]
    [InlineData("/payments", "/v%202/payments", "pathprefix", "v 2/")]
    [InlineData("/payments", "/v%25202/payments", "PathPrefix", "/v%202")] // as YARP takes it
    [InlineData("/payments", "/payments", "PathPrefix", "/")]
    [InlineData("/shop/a%2Fb", "/a%2Fb", "PathRemovePrefix", "/shop")]
    [InlineData("/Shop/a", "/a", "PathRemovePrefix", "shop")]
    [InlineData("/shopping/a", "/shopping/a", "PathRemovePrefix", "/shop")]
    [InlineData("/shop", "/", "PathRemovePrefix", "/shop")]
    [InlineData("/shop/a", "/v2/a", "PathRemovePrefix", "/shop", "PathPrefix", "/v2")]
    [InlineData("/shop/a", "/v2/shop/a", "PathPrefix", "/v2", "PathRemovePrefix", "/shop")]
    public void ThePath_IsTheOneOfARequest(string path, string expected, params string[] transforms)
    {
        var route = new RouteConfig { Transforms = [.. transforms.Chunk(2).Select(pair => new Dictionary<string, string> { [pair[0]] = pair[1] })] };

        Assert.Equal(expected, ProbePath.Of(route, path));
    }
}
