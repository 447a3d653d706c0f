using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Redis dies at the worst moments, and comes back with its data or without.</summary>
public sealed class StoreDeathTests : StoreFaults
{
    /// <param name="held">What was under way: the claim, or already its reply.</param>
    [RedisTheory(ownServer: true)]
    [InlineData(TcpDirections.ToServer)]
    [InlineData(TcpDirections.ToClient)]
    public async Task AStoreKilledInTheMiddleOfAClaim_ForwardsNothing_AndBlocksNoKey(TcpDirections held)
    {
        await using var redis = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        await using var link = TcpProxy.Start(redis.Configuration);
        await using var gateway = await StartConnectedGatewayAsync(link.Endpoint);
        var recordsBefore = await redis.CommandAsync("DBSIZE");

        link.BlackHole(held);
        var refused = AssertRefusedInTimeAsync(gateway, Key);
        await link.Held.WaitForAsync(direction => direction == held);
        if (held == TcpDirections.ToClient)
        {
            await Eventually.TrueAsync(async () => await redis.CommandAsync("DBSIZE") != recordsBefore, "claimed");
        }

        await redis.StopAsync();
        await refused;
        link.Cut(); // what was under way is lost for good
        link.Heal();
        await redis.StartAsync();

        await AssertRecoversAsync(gateway, Key);
        AssertNotLogged("may have run twice", gateway);
        AssertNotLogged(Alarm, gateway); // it has its data
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatLostTheClaim_GetsTheAnswerFromItsOwner()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var owner = await StartConnectedGatewayAsync(redis.Configuration);
        await using var neighbour = await StartConnectedGatewayAsync(redis.Configuration);
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await redis.StopAsync();
        await redis.StartAsync();
        await Eventually.TrueAsync(async () => (await PostAsync(neighbour, Key)).ProblemType != "store-unavailable", "the store serves");
        var meanwhile = await PostAsync(neighbour, Key);
        held.Release();
        var first = await running;

        await AssertReplayedAsync(first, neighbour, Key);
        Expect.InProgress(meanwhile);
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatMissedTheEndOfARequest_DoesNotTakeItForRunning_WhenItIsBack()
    {
        await using var redis = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        await using var gateway = await StartConnectedGatewayAsync(redis.Configuration);
        using var held = Backend.Hold();
        var running = PostAsync(gateway, Key, "/brief");
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await redis.StopAsync();
        held.Release();
        var first = await running;
        await gateway.Output.WaitForAsync(line => line.Contains("[2013]", StringComparison.Ordinal)); // given up, the lease is over
        await redis.StartAsync();
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await PostAsync(gateway, Key, "/brief")).ProblemType != "store-unavailable", "the store serves");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Expect.Uncertain(retry!);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatDiesTogetherWithTheOwner_IsTheDocumentedLoss_AndRaisesAnAlarm()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var owner = await StartConnectedGatewayAsync(redis.Configuration);
        await using var neighbour = await StartConnectedGatewayAsync(redis.Configuration);
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        await redis.StopAsync();
        await redis.StartAsync();
        held.Release();
        var again = await PostUntilServedAsync(neighbour, Key);

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.Equal((201, false), (again.Status, again.IsReplay));
        AssertLogged(Alarm, neighbour);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsRestartedEmpty_GetsBackTheAnswersOfTheLastMinute()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var owner = await StartConnectedGatewayAsync(redis.Configuration);
        await using var neighbour = await StartConnectedGatewayAsync(redis.Configuration);
        var first = await PostAsync(owner, Key);

        await redis.StopAsync();
        await redis.StartAsync();

        await AssertReplayedAsync(first, neighbour, Key);
        await AssertReplayedAsync(first, owner, Key);
        AssertLogged(Alarm, owner, neighbour);
    }
}
