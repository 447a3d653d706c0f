using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>The promise under load: 10,000 requests for 50 operations are 50 arrivals.</summary>
public abstract class DuplicateStormTests(SharedGateways gateways)
{
    [StoreFact]
    public async Task DuplicatesOverThreeGateways_ReachTheBackendOncePerKey()
    {
        string[] urls = [.. gateways.Gateways.Select(gateway => gateway.Url)];
        var storm = new DuplicateStorm(gateways.Backend, gateways.Client);

        await storm.RunAsync(urls);

        await storm.AssertAllReplayAsync(urls);
    }
}

[OnRedis]
[Collection(LoadCollection.Name)]
public sealed class RedisDuplicateStormTests(PatientRedisGateways gateways) : DuplicateStormTests(gateways), IClassFixture<PatientRedisGateways>;

[OnPostgres]
[Collection(LoadCollection.Name)]
public sealed class PostgresDuplicateStormTests(PatientPostgresGateways gateways) : DuplicateStormTests(gateways), IClassFixture<PatientPostgresGateways>;

[Collection(LoadCollection.Name)]
public sealed class EmbeddedDuplicateStormTests
{
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
