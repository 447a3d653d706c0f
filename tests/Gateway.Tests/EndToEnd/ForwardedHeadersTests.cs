using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What backends are told of the client, with and without a proxy before the gateway that is believed.</summary>
public sealed class ForwardedHeadersTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync(async context =>
    {
        // As applications do behind something that ends TLS.
        var isSecure = context.Request.Headers["X-Forwarded-Proto"] == "https";
        context.Response.StatusCode = isSecure ? 201 : 308;
        if (!isSecure)
        {
            context.Response.Headers.Location = $"https://{context.Request.Headers["X-Forwarded-Host"]}{context.Request.Path}";
        }

        await context.Response.CompleteAsync();
    });

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task ATrustedProxysWord_ReachesTheBackend_AndSaysWhoTheClientIs()
    {
        await using var gateway = await StartAsync("127.0.0.0/8");

        var alice = await PostAsync(gateway, ("X-Forwarded-For", "6.6.6.6, 192.0.2.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example"));
        var bob = await PostAsync(gateway, ("X-Forwarded-For", "192.0.2.8"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example"));
        var again = await PostAsync(gateway, ("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example"));

        Assert.Equal(["192.0.2.7, 127.0.0.1", "192.0.2.8, 127.0.0.1"], _backend!.Ledger.Select(arrival => arrival.Header("X-Forwarded-For")));
        Assert.All(_backend.Ledger, arrival => Assert.Equal(("https", "shop.example"), (arrival.Header("X-Forwarded-Proto"), arrival.Header("X-Forwarded-Host"))));
        Assert.Equal((201, 201, false), (alice.Status, bob.Status, bob.IsReplay));
        Expect.Replay(alice, again);
    }

    [Fact]
    public async Task Forwarded_GoesOn()
    {
        await using var gateway = await StartAsync("127.0.0.1");

        await PostAsync(gateway, ("Forwarded", "for=192.0.2.7;proto=https"));

        var arrival = Assert.Single(_backend!.Ledger);
        Assert.StartsWith("for=192.0.2.7;proto=https, for=127.0.0.1;proto=http;host=", arrival.Header("Forwarded"), StringComparison.Ordinal);
        Assert.Equal(("192.0.2.7, 127.0.0.1", "https"), (arrival.Header("X-Forwarded-For"), arrival.Header("X-Forwarded-Proto")));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("10.0.0.0/8")]
    public async Task AnybodyElsesWord_IsGone(string? trusted)
    {
        await using var gateway = await StartAsync(trusted);

        var answer = await PostAsync(
            gateway, ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Prefix", "/evil"), ("Forwarded", "for=6.6.6.6"));

        var arrival = Assert.Single(_backend!.Ledger);
        Assert.Equal(308, answer.Status);
        Assert.Equal(("127.0.0.1", "http"), (arrival.Header("X-Forwarded-For"), arrival.Header("X-Forwarded-Proto")));
        Assert.DoesNotContain(arrival.Headers, field => field.Value.Contains("evil", StringComparison.Ordinal) || field.Value.Contains("6.6.6.6", StringComparison.Ordinal));
    }

    private Task<GatewayProcess> StartAsync(string? trusted) => GatewayProcess.StartAsync(
        GatewayConfig.Write(GatewayConfig.Embedded, new { byAddress = new { Scope = "client-ip" } }, new GatewayRoute("/{**rest}", _backend!.Url, "byAddress")),
        trusted is null ? [] : new Dictionary<string, string> { ["ForwardedHeaders__TrustedNetworks__0"] = trusted });

    private Task<Answer> PostAsync(GatewayProcess gateway, params (string Name, string Value)[] fields) =>
        KeyedRequests.PostAsync(_client, gateway.Url + "/orders", _key, "{}", [.. fields.Select(field => KeyValuePair.Create(field.Name, field.Value))]);
}
