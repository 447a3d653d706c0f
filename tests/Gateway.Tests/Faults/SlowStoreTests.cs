using System.Diagnostics;
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

    /// <summary>Long enough for what the gateway asks the store besides: who it is, and whether it still is.</summary>
    [StoreTheory]
    [InlineData(50, 1)]
    [InlineData(1_300, 6)]
    public async Task AStoreThatIsSlow_ButFasterThanItsTimeout_IsWaitedFor(int milliseconds, int timeoutInSeconds)
    {
        var environment = new Dictionary<string, string>
        {
            ["Store__Timeout"] = TimeSpan.FromSeconds(timeoutInSeconds).ToString("c"),
            ["Idempotency__Policies__brief__Lease"] = "00:01:00", // at least two timeouts
        };
        await store.StartAsync();
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint), environment);

        link.Delay = TimeSpan.FromMilliseconds(milliseconds);
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < TimeSpan.FromSeconds(3);)
        {
            var key = EmbeddedGateway.NewKey();
            var first = await PostAsync(gateway, key);
            var retry = await PostAsync(gateway, key);

            Assert.Single(Backend.ArrivalsFor(key));
            Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
            Expect.Replay(first, retry);
        }
    }
}

[OnRedis]
public sealed class RedisSlowTests() : SlowStoreTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresSlowTests() : SlowStoreTests(new FaultyPostgres());
