using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The store answers, and late.</summary>
public abstract class SlowStoreTests(FaultyStore store) : StoreFaults
{
    private const int AtATime = 50;

    public override async Task DisposeAsync()
    {
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    [StoreFact]
    public async Task AStoreThatIsSlowerThanItsTimeout_IsAStoreThatIsDown_AndNothingPilesUp()
    {
        await store.StartAsync();
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));
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

    [StoreFact]
    public async Task AStoreThatIsSlow_ButFasterThanItsTimeout_IsWaitedFor()
    {
        await store.StartAsync();
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));

        link.Delay = TimeSpan.FromMilliseconds(50);
        var first = await PostAsync(gateway, Key);
        var retry = await PostAsync(gateway, Key);

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        Expect.Replay(first, retry);
    }
}

[OnRedis]
public sealed class RedisSlowTests() : SlowStoreTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresSlowTests() : SlowStoreTests(new FaultyPostgres());
