using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Redis is there and answers with an error: a store that is down, and never a key that is absent.</summary>
public sealed class StoreRefusalTests : StoreFaults
{
    public static TheoryData<string> Codes => [.. StoreRefusal.All.Keys];

    [RedisTheory(ownServer: true)]
    [MemberData(nameof(Codes))]
    public async Task AStoreThatRefuses_IsAStoreThatIsDown_UntilItWorksAgain(string code)
    {
        var refusal = StoreRefusal.All[code];
        await using var redis = await RedisServer.StartOwnAsync(refusal.Settings);
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(redis.Configuration));
        var first = await PostAsync(gateway, Key);
        var newKey = EmbeddedGateway.NewKey();

        await refusal.Begin(redis);
        await AssertRefusedInTimeAsync(gateway, newKey);
        await AssertNotRunAgainAsync(first, gateway, Key);
        await gateway.Output.WaitForAsync(line => line.Contains($"{code}, ", StringComparison.Ordinal));
        await refusal.End(redis);

        await AssertRecoversAsync(gateway, newKey);
        await AssertReplayedAsync(first, gateway, Key);
    }
}
