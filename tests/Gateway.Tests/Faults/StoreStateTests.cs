using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>Redis answers, and is not what it was: it was restarted, or emptied.</summary>
public sealed class StoreStateTests : StoreFaults
{
    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsRestartedWithItsData_StillHasTheAnswer()
    {
        await using var redis = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        await using var gateway = await StartGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        var first = await PostUntilServedAsync(gateway, Key);

        await redis.StopAsync();
        await redis.StartAsync();
        await using var newcomer = await StartGatewayAsync(GatewayConfig.Redis(redis.Configuration));

        await AssertReplayedAsync(first, newcomer, Key);
        await gateway.Output.WaitForAsync(line => line.Contains(Restarted, StringComparison.Ordinal));
        AssertNotLogged(Alarm, gateway);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatWasEmptied_IsNoticed_AndGetsBackWhatWasJustWritten()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var gateway = await StartGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        var first = await PostUntilServedAsync(gateway, Key);

        await redis.FlushAllAsync();
        await gateway.Output.WaitForAsync(line => line.Contains(Alarm, StringComparison.Ordinal));

        await AssertReplayedAsync(first, gateway, Key);
    }
}
