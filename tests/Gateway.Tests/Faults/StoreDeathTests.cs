using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The store dies at the worst moments, and comes back with its data.</summary>
public abstract class StoreDeathTests(FaultyStore store) : StoreFaults
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await store.StartAsync();
    }

    public override async Task DisposeAsync()
    {
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    /// <param name="held">What was under way: the claim, or already its reply.</param>
    [StoreTheory]
    [InlineData(TcpDirections.ToServer)]
    [InlineData(TcpDirections.ToClient)]
    public async Task AStoreKilledInTheMiddleOfAClaim_ForwardsNothing_AndBlocksNoKey(TcpDirections held)
    {
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));
        var recordsBefore = await store.CountRecordsAsync();

        link.BlackHole(held);
        var refused = AssertRefusedInTimeAsync(gateway, Key);
        await link.Held.WaitForAsync(direction => direction == held);
        if (held == TcpDirections.ToClient)
        {
            await Eventually.TrueAsync(async () => await store.CountRecordsAsync() != recordsBefore, "claimed");
        }

        await store.StopAsync();
        await refused;
        link.Cut(); // what was under way is lost for good
        link.Heal();
        await store.StartAsync();

        await AssertRecoversAsync(gateway, Key);
        AssertNotLogged("may have run twice", gateway);
        AssertNotLogged(Alarm, gateway); // it has its data
    }

    [StoreFact]
    public async Task AStoreThatMissedTheEndOfARequest_DoesNotTakeItForRunning_WhenItIsBack()
    {
        await using var gateway = await StartConnectedGatewayAsync(store.Section(store.Endpoint));
        using var held = Backend.Hold();
        var running = PostAsync(gateway, Key, "/brief");
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await store.StopAsync();
        held.Release();
        var first = await running;
        await gateway.Output.WaitForAsync(line => line.Contains("[2013]", StringComparison.Ordinal)); // given up, the lease is over
        await store.StartAsync();
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await PostAsync(gateway, Key, "/brief")).ProblemType != "store-unavailable", "the store serves");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Expect.Uncertain(retry!);
    }
}

[OnRedis]
public sealed class RedisDeathTests() : StoreDeathTests(FaultyRedis.Durable());

[OnPostgres]
public sealed class PostgresDeathTests() : StoreDeathTests(new FaultyPostgres());
