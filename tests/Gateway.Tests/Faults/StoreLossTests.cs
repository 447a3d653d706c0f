using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Redis dies at the worst moments, and comes back without its data.</summary>
public sealed class StoreLossTests : StoreFaults
{
    [RedisFact(ownServer: true)]
    public async Task AStoreThatLostTheClaim_GetsTheAnswerFromItsOwner()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
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
    public async Task AStoreThatDiesTogetherWithTheOwner_IsTheDocumentedLoss_AndRaisesAnAlarm()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
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
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        var first = await PostAsync(owner, Key);

        await redis.StopAsync();
        await redis.StartAsync();

        await AssertReplayedAsync(first, neighbour, Key);
        await AssertReplayedAsync(first, owner, Key);
        AssertLogged(Alarm, owner, neighbour);
    }
}
