using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Redis answers, and late.</summary>
public sealed class SlowStoreTests : StoreFaults
{
    private const int AtATime = 50;

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsSlowerThanItsTimeout_IsAStoreThatIsDown_AndNothingPilesUp()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var link = TcpProxy.Start(redis.Configuration);
        await using var gateway = await StartConnectedGatewayAsync(link.Endpoint);
        var first = await PostAsync(gateway, Key);
        var keys = Enumerable.Range(0, 3 * AtATime).Select(_ => EmbeddedGateway.NewKey()).ToList();

        link.Delay = TimeSpan.FromSeconds(1.5);
        foreach (var batch in keys.Chunk(AtATime))
        {
            await Task.WhenAll(batch.Select(key => AssertRefusedInTimeAsync(gateway, key)));
            await AssertUnkeyedWorksAsync(gateway);
        }

        link.Delay = TimeSpan.Zero;

        await AssertReplayedAsync(first, gateway, Key);
        await Task.WhenAll(keys.Select(key => AssertRecoversAsync(gateway, key)));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsSlow_ButFasterThanItsTimeout_IsWaitedFor()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var link = TcpProxy.Start(redis.Configuration);
        await using var gateway = await StartConnectedGatewayAsync(link.Endpoint);

        link.Delay = TimeSpan.FromMilliseconds(50);
        var first = await PostAsync(gateway, Key);
        var retry = await PostAsync(gateway, Key);

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        Expect.Replay(first, retry);
    }
}
