using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Faults;

/// <summary>
/// The link to the store goes silent under load, and heals. For BLACKHOLE_SECONDS, 6 unless the environment says otherwise; it runs alone,
/// because it compares latencies.
/// </summary>
public abstract class BlackHoleTests(FaultyStore store, ITestOutputHelper output) : StoreFaults
{
    private const int UnkeyedClients = 4;
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan KeyedInterval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan RecoveryAfterHealing = TimeSpan.FromSeconds(5);

    /// <summary>What waits for the store's timeout of a second is above it; what a busy machine delays is below.</summary>
    private static readonly TimeSpan SlowedDown = TimeSpan.FromMilliseconds(500);

    private static TimeSpan Silence { get; } = TimeSpan.FromSeconds(
        double.Parse(Environment.GetEnvironmentVariable("BLACKHOLE_SECONDS") ?? "6", CultureInfo.InvariantCulture));

    private readonly record struct Exchange(string Key, Answer Answer, TimeSpan Took);

    public override async Task DisposeAsync()
    {
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    /// <param name="directions">What gets lost: everything, or only the replies, so that claims take effect and nobody knows.</param>
    [StoreTheory]
    [InlineData(TcpDirections.Both)]
    [InlineData(TcpDirections.ToClient)]
    public async Task ASilentStore_RefusesKeyedRequestsInTime_SlowsNobodyElseDown_AndLeavesNoKeyBlocked(TcpDirections directions)
    {
        await store.StartAsync();
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));
        var before = await DriveAsync(gateway, Before);

        link.BlackHole(directions);
        var during = await DriveAsync(gateway, Silence);
        link.Heal();
        var healed = Stopwatch.StartNew();
        var served = await PostUntilServedAsync(gateway, Key);
        var recovery = healed.Elapsed;

        Report("keyed before", before.Keyed);
        Report("keyed during", during.Keyed);
        Report("un-keyed before", before.Unkeyed);
        Report("un-keyed during", during.Unkeyed);
        output.WriteLine($"served again after {recovery.TotalMilliseconds:0} ms");

        Assert.All(during.Keyed, exchange => Assert.Empty(Backend.ArrivalsFor(exchange.Key)));
        Assert.All(during.Keyed, exchange => Expect.Problem(503, "store-unavailable", exchange.Answer));
        Assert.All(during.Keyed, exchange => Assert.InRange(exchange.Took, TimeSpan.Zero, InTime));
        Assert.All(before.Unkeyed.Concat(during.Unkeyed), exchange => Assert.Equal(201, exchange.Answer.Status));
        Assert.InRange(Percentile(during.Unkeyed, 50), TimeSpan.Zero, (3 * Percentile(before.Unkeyed, 50)) + TimeSpan.FromMilliseconds(20));
        Assert.InRange(Percentile(during.Unkeyed, 99), TimeSpan.Zero, Percentile(before.Unkeyed, 99) + SlowedDown);
        Assert.Equal((201, false), (served.Status, served.IsReplay));
        Assert.InRange(recovery, TimeSpan.Zero, RecoveryAfterHealing);
        await Task.WhenAll(during.Keyed.Select(exchange => AssertRecoversAsync(gateway, exchange.Key)));
        AssertNotLogged("may have run twice", gateway);
    }

    /// <summary>Un-keyed requests by a few clients, one after another each, and new keys at a steady pace that waits for nobody.</summary>
    private async Task<(List<Exchange> Keyed, List<Exchange> Unkeyed)> DriveAsync(GatewayProcess gateway, TimeSpan duration)
    {
        var watch = Stopwatch.StartNew();
        var unkeyed = Enumerable.Range(0, UnkeyedClients).Select(_ => Task.Run(async () =>
        {
            var exchanges = new List<Exchange>();
            while (watch.Elapsed < duration)
            {
                exchanges.Add(await MeasureAsync("", () => KeyedRequests.PostAsync(Client, gateway.Url + "/plain/1", key: null)));
                await Task.Delay(Pause);
            }

            return exchanges;
        })).ToList();
        var keyed = new List<Task<Exchange>>();
        while (watch.Elapsed < duration)
        {
            var key = EmbeddedGateway.NewKey();
            keyed.Add(MeasureAsync(key, () => PostAsync(gateway, key)));
            await Task.Delay(KeyedInterval);
        }

        return ([.. await Task.WhenAll(keyed)], [.. (await Task.WhenAll(unkeyed)).SelectMany(exchanges => exchanges)]);
    }

    private static async Task<Exchange> MeasureAsync(string key, Func<Task<Answer>> send)
    {
        var watch = Stopwatch.StartNew();
        var answer = await send();
        return new Exchange(key, answer, watch.Elapsed);
    }

    private static TimeSpan Percentile(IEnumerable<Exchange> exchanges, int percent)
    {
        var sorted = exchanges.Select(exchange => exchange.Took).Order().ToList();
        return sorted[(sorted.Count - 1) * percent / 100];
    }

    private void Report(string what, List<Exchange> exchanges) => output.WriteLine(string.Create(
        CultureInfo.InvariantCulture,
        $"{what}: {exchanges.Count} requests, p50 {Percentile(exchanges, 50).TotalMilliseconds:0.0} ms, p99 {Percentile(exchanges, 99).TotalMilliseconds:0.0} ms, max {Percentile(exchanges, 100).TotalMilliseconds:0.0} ms"));
}

[OnRedis]
[Collection(LoadCollection.Name)]
public sealed class RedisBlackHoleTests(ITestOutputHelper output) : BlackHoleTests(new FaultyRedis(), output);

[OnPostgres]
[Collection(LoadCollection.Name)]
public sealed class PostgresBlackHoleTests(ITestOutputHelper output) : BlackHoleTests(new FaultyPostgres(), output);
