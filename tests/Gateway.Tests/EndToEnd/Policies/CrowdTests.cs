using System.Diagnostics;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Many duplicates of one running request, over three gateways: the store is asked once for each, and not again for their waiting.</summary>
public abstract class CrowdTests(PolicyGateways gateways, ITestOutputHelper output)
{
    private const int Duplicates = 500;

    /// <summary>Measured: far less. A busy machine has to write five hundred answers meanwhile.</summary>
    private static readonly TimeSpan MaxSpread = TimeSpan.FromSeconds(1);

    /// <summary>A gateway asks by itself for each key that somebody waits for, in case that the word was lost.</summary>
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    /// <summary>How many steps of the store a gateway may need for one look at a key.</summary>
    protected virtual int StepsOfALook => 1;

    [StoreFact]
    public async Task FiveHundredDuplicates_AreOneArrival_AndAllGetTheAnswerAtOnce()
    {
        var (path, key) = (PolicyGateways.NewPath("crowd"), EmbeddedGateway.NewKey());
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, key);
        await gateways.ArrivedAsync(path);
        await QuietAsync();
        var before = await CountOperationsAsync();
        var watch = Stopwatch.StartNew();
        var waiting = Enumerable.Range(0, Duplicates).Select(i => ReplayAsync(gateways.Gateways[i % gateways.Gateways.Count])).ToList();
        await Eventually.TrueAsync(async () => await CountOperationsAsync() - before >= Duplicates, "all have asked");
        Assert.DoesNotContain(waiting, answer => answer.IsCompleted);

        held.Release();
        var first = await running;
        var answeredAt = watch.Elapsed;
        var replays = await Task.WhenAll(waiting);
        var operations = await CountOperationsAsync() - before;

        Assert.Single(gateways.ArrivalsAt(path));
        Assert.All(replays, replay => Expect.Replay(first, replay.Answer));
        var spread = replays.Max(replay => replay.At) - answeredAt;
        output.WriteLine($"{Duplicates} duplicates waited {answeredAt.TotalMilliseconds:0} ms; the last got its replay {spread.TotalMilliseconds:0} ms after the first answer; {operations} store operations");
        Assert.InRange(spread, TimeSpan.MinValue, MaxSpread);

        // A claim for each, the first one's end, and for each gateway the watch, the look after the word, and its polls and renewals.
        var polls = (int)(watch.Elapsed / PollInterval) + 4;
        Assert.InRange(operations, Duplicates, Duplicates + 1 + gateways.Gateways.Count * polls * StepsOfALook);

        async Task<(Answer Answer, TimeSpan At)> ReplayAsync(GatewayProcess gateway)
        {
            var answer = await gateways.PostAsync(gateway, path, key);
            return (answer, watch.Elapsed);
        }
    }

    /// <summary>Each end of a lock wakes one request of each gateway, however many wait; it asks, is told to wait, and asks again.</summary>
    [StoreFact]
    public async Task OfManyWhoWaitForALock_OneIsWokenAtATime()
    {
        const int Each = 50;
        var seat = PolicyGateways.NewPath("long-queue");
        var running = 0;
        var most = 0;
        gateways.AnswerAt(seat, async context =>
        {
            most = Math.Max(most, Interlocked.Increment(ref running));
            await Task.Delay(10);
            Interlocked.Decrement(ref running);
            await gateways.Backend.AnswerCreatedAsync(context);
        });
        await QuietAsync();
        var before = await CountOperationsAsync();
        var watch = Stopwatch.StartNew();

        var answers = await Task.WhenAll(Enumerable.Range(0, Each * gateways.Gateways.Count).Select(i =>
            gateways.PostAsync(gateways.Gateways[i % gateways.Gateways.Count], seat, EmbeddedGateway.NewKey(), "{}", ("Authorization", $"{i}"))));

        var (all, operations) = (answers.Length, await CountOperationsAsync() - before);
        output.WriteLine($"{all} requests for one lock: {operations} store operations in {watch.Elapsed.TotalSeconds:0.0} s");
        Assert.All(answers, answer => Assert.Equal(201, answer.Status));
        Assert.Equal((all, 1), (gateways.ArrivalsAt(seat).Count, most));

        // Of each: the key's claim and end, the lock's claim and end, and its first place in the line, where each end of the others' is heard.
        var polls = (int)(watch.Elapsed / PollInterval) + 4;
        Assert.InRange(operations, 4 * all, ((7 + (2 * gateways.Gateways.Count)) * all * StepsOfALook) + (gateways.Gateways.Count * polls * StepsOfALook));
    }

    [StoreFact]
    public async Task ALockHasSoManyWaiters_AndNoMore()
    {
        var seat = PolicyGateways.NewPath("long-queue");
        using var held = gateways.HoldAt(seat);
        var first = gateways.PostAsync(gateways.First, seat, EmbeddedGateway.NewKey(), "{}", ("Authorization", "first"));
        await gateways.ArrivedAsync(seat);

        var waiting = Enumerable.Range(0, 61).Select(i => gateways.PostAsync(gateways.First, seat, EmbeddedGateway.NewKey(), "{}", ("Authorization", $"{i}"))).ToList();
        var refused = await await Task.WhenAny(waiting).WaitAsync(Bounds.Wait);
        Assert.Equal(60, waiting.Count(answer => !answer.IsCompleted));
        held.Release();

        Expect.Problem(409, "resource-locked", refused);
        Assert.Equal(201, (await first).Status);
        Assert.Equal(60, (await Task.WhenAll(waiting)).Count(answer => answer.Status == 201));
    }

    /// <summary>How many steps of the gateways the store has executed.</summary>
    protected abstract Task<int> CountOperationsAsync();

    /// <summary>Until the gateways have nothing more to say to the store for a moment.</summary>
    private async Task QuietAsync()
    {
        var last = -1;
        await Eventually.TrueAsync(
            async () =>
            {
                var before = last;
                last = await CountOperationsAsync();
                return last == before;
            },
            "quiet");
    }
}

[OnRedis]
[Collection(LoadCollection.Name)]
public sealed class RedisCrowdTests(RedisCrowdGateways gateways, ITestOutputHelper output) : CrowdTests(gateways, output), IClassFixture<RedisCrowdGateways>
{
    protected override Task<int> CountOperationsAsync() => gateways.CountOperationsAsync();
}

[OnPostgres]
[Collection(LoadCollection.Name)]
public sealed class PostgresCrowdTests(CountedPostgresGateways gateways, ITestOutputHelper output)
    : CrowdTests(gateways, output), IClassFixture<CountedPostgresGateways>
{
    /// <summary>It reads, has the end announced, and sees that this was done before.</summary>
    protected override int StepsOfALook => 3;

    protected override Task<int> CountOperationsAsync() => gateways.Postgres.CountTransactionsAsync();
}

/// <summary>Three gateways for a crowd; without a policy that probes, their sweepers have nothing to ask the store for.</summary>
public sealed class RedisCrowdGateways : RedisPolicyGateways
{
    protected override int Count => 3;

    protected override bool Has(string policy) => policy is "crowd" or "queue" or "long-queue";
}

/// <summary>As <see cref="RedisCrowdGateways"/>.</summary>
public class PostgresCrowdGateways : PostgresPolicyGateways
{
    protected override int Count => 3;

    protected override bool Has(string policy) => policy is "crowd" or "queue" or "long-queue";
}

/// <summary>Three gateways for a crowd that waits, patient with a server that counts.</summary>
public sealed class CountedPostgresGateways : PostgresCrowdGateways
{
    protected override bool Has(string policy) => policy is "crowd" or "long-queue"; // which name no lease: see GatewayConfig.Write

    protected override Task<PostgresServer> StartServerAsync() => PostgresServer.StartCountingAsync();
}
