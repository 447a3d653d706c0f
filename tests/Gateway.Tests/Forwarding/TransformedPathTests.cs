using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Forwarding;

/// <summary>Routes that change the path: the backend is asked for the resource that the client named, encoded as the client encoded it.</summary>
public sealed class TransformedPathTests(TransformedPathTests.Site site) : IClassFixture<TransformedPathTests.Site>
{
    [Theory]
    [InlineData("/api/a%2Fb", "/a%2Fb")]
    [InlineData("/api/a%2fb?x=%2F", "/a%2fb?x=%2F")]
    [InlineData("/api/a%20b%3Bc", "/a%20b%3Bc")]
    [InlineData("/api/100%25", "/100%25")]
    [InlineData("/api/a%252Fb", "/a%252Fb")]
    [InlineData("/api", "/")]
    [InlineData("/API/x", "/x")]
    [InlineData("/%61pi/a%2Fb", "/a%2Fb")] // the prefix in another spelling
    [InlineData("/pre/a%2Fb", "/v1/pre/a%2Fb")]
    [InlineData("/both/a%2Fb", "/v2/a%2Fb")]
    [InlineData("/pattern/a%2Fb/c", "/got/a%2Fb/c")]
    [InlineData("/query/a%2Fb?x=1", "/query/a%2Fb?x=1&y=2")]
    public async Task TheBackend_IsAskedForTheSameResource(string target, string outgoing)
    {
        var answer = await RawClient.ExchangeAsync(site.Gateway.Url, $"GET {target} HTTP/1.1\r\nHost: x\r\nX-Test: {target}\r\n\r\n");

        Assert.Equal(201, answer!.Status);
        Assert.Equal(outgoing, Assert.Single(site.Backend.Ledger, arrival => arrival.Header("X-Test") == target).Target);
    }

    public sealed class Site : IAsyncLifetime
    {
        private ScriptedBackend? _backend;
        private GatewayProcess? _gateway;

        public ScriptedBackend Backend => _backend!;

        public GatewayProcess Gateway => _gateway!;

        public async Task InitializeAsync()
        {
            _backend = await ScriptedBackend.StartAsync();
            GatewayRoute Route(string path, params Dictionary<string, string>[] transforms) => new(path, _backend.Url, Policy: null) { Transforms = transforms };
            _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
                GatewayConfig.Embedded,
                new { },
                Route("/api/{**rest}", new Dictionary<string, string> { ["PathRemovePrefix"] = "/api" }),
                Route("/pre/{**rest}", new Dictionary<string, string> { ["PathPrefix"] = "/v1" }),
                Route("/both/{**rest}", new Dictionary<string, string> { ["PathRemovePrefix"] = "/both" }, new Dictionary<string, string> { ["PathPrefix"] = "/v2" }),
                Route("/pattern/{id}/{**rest}", new Dictionary<string, string> { ["PathPattern"] = "/got/{id}/{**rest}" }),
                Route("/query/{**rest}", new Dictionary<string, string> { ["QueryValueParameter"] = "y", ["Append"] = "2" })));
        }

        public async Task DisposeAsync()
        {
            await (_gateway?.DisposeAsync() ?? default);
            await (_backend?.DisposeAsync() ?? default);
        }
    }
}
