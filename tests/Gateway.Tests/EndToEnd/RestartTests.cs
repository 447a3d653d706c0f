using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>One gateway on the embedded store is killed while the backend works.</summary>
public sealed class RestartTests
{
    [Fact]
    public async Task AGatewayKilledWhileTheBackendWorks_NeverSendsTheRequestAgain()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { brief = new { Lease = "00:00:02" } }, new GatewayRoute("/{**rest}", backend.Url, "brief")));
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        using var held = backend.Hold();
        var running = PostAsync();
        await backend.WaitForArrivalsAsync(1);

        await gateway.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        await gateway.StartAgainAsync();
        var retry = await PostAsync();
        await Eventually.TrueAsync(async () => (retry = await PostAsync()).ProblemType != "in-progress", "the lease is over");
        held.Release();

        Assert.Single(backend.Ledger);
        Expect.Uncertain(retry);
        Expect.Uncertain(await PostAsync());
        Assert.Single(backend.Ledger);

        Task<Answer> PostAsync() =>
            KeyedRequests.PostAsync(client, gateway.Url + "/orders", key, headers: [KeyValuePair.Create("Host", "api.example")]);
    }
}
