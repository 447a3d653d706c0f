using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>The promise under load: 10,000 requests for 50 operations are 50 arrivals.</summary>
[Collection(LoadCollection.Name)]
public sealed class DuplicateStormTests(RedisGateways gateways) : IClassFixture<RedisGateways>
{
    [RedisFact(ownServer: true)]
    public async Task DuplicatesOverThreeGateways_ReachTheBackendOncePerKey()
    {
        string[] urls = [.. gateways.Gateways.Select(gateway => gateway.Url)];
        var storm = new DuplicateStorm(gateways.Backend, gateways.Client);

        await storm.RunAsync(urls);

        await storm.AssertAllReplayAsync(urls);
    }

    [Fact]
    public async Task DuplicatesOverTheEmbeddedStore_ReachTheBackendOncePerKey_AndReplayAfterTheGatewayWasKilled()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", backend.Url)));
        var storm = new DuplicateStorm(backend, client);

        await storm.RunAsync([gateway.Url]);
        await gateway.KillAsync();
        await gateway.StartAgainAsync();

        await storm.AssertAllReplayAsync([gateway.Url]);
    }
}
