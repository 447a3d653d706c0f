using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>10,000 duplicates of one request, while it is running: each is refused at once, for the price of one call of the store.</summary>
[Collection(LoadCollection.Name)]
public sealed partial class HotKeyTests
{
    private const int Duplicates = 10_000;

    /// <summary>Requests under way, as a crowd of impatient clients would have.</summary>
    private static readonly ParallelOptions Crowd = new() { MaxDegreeOfParallelism = 200 };

    [Fact]
    public Task DuplicatesOfOneKey_OverTheEmbeddedStore_AreAllInProgress() => SendAllAsync(GatewayConfig.Embedded);

    [RedisFact(ownServer: true)]
    public async Task DuplicatesOfOneKey_OverRedis_AreAllInProgress_AndCostOneCallEach()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await SendAllAsync(GatewayConfig.Redis(redis.Configuration), () => redis.CommandAsync("CONFIG", "RESETSTAT"));

        var stats = await redis.CommandAsync("INFO", "commandstats");
        var scripts = Calls.Matches(stats).Where(calls => calls.Groups[1].Value.StartsWith("eval", StringComparison.Ordinal)).Sum(CallsOf);
        var others = Calls.Matches(stats).Where(calls => calls.Groups[1].Value is "ping" or "get" or "info" or "role").Sum(CallsOf);
        Assert.InRange(scripts, Duplicates, Duplicates + 20); // renewals and the last word
        Assert.InRange(others, 0, Duplicates / 10); // the watch over the connection
    }

    [PostgresFact(ownServer: true)]
    public async Task DuplicatesOfOneKey_OverPostgres_AreAllInProgress_AndCostOneCallEach()
    {
        await using var postgres = await PostgresServer.StartCountingAsync();
        var before = 0;
        var watch = Stopwatch.StartNew();
        await SendAllAsync(GatewayConfig.Postgres(postgres.ConnectionString), async () => before = await postgres.CountTransactionsAsync());

        var transactions = await postgres.CountTransactionsAsync() - before;
        Assert.InRange(transactions, Duplicates, Duplicates + 20 + (int)watch.Elapsed.TotalSeconds); // renewals, the watch over the connection, and the last word
    }

    [GeneratedRegex(@"cmdstat_(\S+):calls=(\d+)")]
    private static partial Regex Calls { get; }

    private static int CallsOf(Match calls) => int.Parse(calls.Groups[2].Value, CultureInfo.InvariantCulture);

    private static async Task SendAllAsync(object store, Func<Task>? onceClaimed = null)
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(store, new { }, new GatewayRoute("/{**rest}", backend.Url)));
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        Task<Answer> PostAsync() => KeyedRequests.PostAsync(client, gateway.Url + "/orders", key);
        using var held = backend.Hold();
        var running = PostAsync();
        await backend.WaitForArrivalsAsync(1);
        await (onceClaimed?.Invoke() ?? Task.CompletedTask);

        await Parallel.ForAsync(0, Duplicates, Crowd, async (_, _) => Expect.InProgress(await PostAsync()));
        held.Release();
        var first = await running;

        Assert.Single(backend.Ledger);
        Assert.Equal(201, first.Status);
        Expect.Replay(first, await PostAsync());
    }
}
