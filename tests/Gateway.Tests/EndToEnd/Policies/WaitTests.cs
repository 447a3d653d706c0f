using System.Diagnostics;
using Gateway.Tests.Support;
using Idempotency.Storage.Redis;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Duplicates that wait for the first request's answer (<c>InFlight:Duplicates: Wait</c>).</summary>
public abstract class WaitTests(PolicyGateways gateways)
{
    /// <summary>Until a duplicate that was sent waits, which nothing tells. When it is too short, the duplicate finds the answer at once.</summary>
    private static readonly TimeSpan Beginning = TimeSpan.FromMilliseconds(100);

    /// <summary>Half of the interval at which a gateway asks again by itself: what comes sooner was told by the store.</summary>
    private static readonly TimeSpan Prompt = TimeSpan.FromMilliseconds(250);

    /// <summary>Much less than any wait of these policies, but for <c>short</c>.</summary>
    private static readonly TimeSpan AtOnce = TimeSpan.FromSeconds(5);

    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task ADuplicate_GetsTheFirstAnswer_AsSoonAsItIsThere()
    {
        var late = await ReplayedAfterAsync(rounds: 5);

        Assert.True(Median(late) < Prompt, $"not told by the store: {string.Join(", ", late)}");
    }

    [StoreFact]
    public async Task AClientMayPreferToWaitLess()
    {
        var path = PolicyGateways.NewPath("wait");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);

        var watch = Stopwatch.StartNew();
        Expect.InProgress(await gateways.PostAsync(gateways.First, path, _key, "{}", ("Prefer", "wait=1")));
        Assert.InRange(watch.Elapsed, TimeSpan.FromSeconds(0.9), AtOnce);
        watch.Restart();
        Expect.InProgress(await gateways.PostAsync(gateways.First, path, _key, "{}", ("Prefer", "respond-async, wait=0")));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(0.9));

        held.Release();
        Assert.Equal(201, (await running).Status);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task AClientCannotWaitLongerThanThePolicyAllows()
    {
        var path = PolicyGateways.NewPath("short");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);

        var watch = Stopwatch.StartNew();
        Expect.InProgress(await gateways.PostAsync(gateways.Other, path, _key, "{}", ("Prefer", "wait=60")));
        Assert.InRange(watch.Elapsed, TimeSpan.FromSeconds(0.9), AtOnce);

        held.Release();
        Assert.Equal(201, (await running).Status);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task MoreDuplicatesOfAKeyThanMayWait_AreAnsweredAtOnce()
    {
        var path = PolicyGateways.NewPath("narrow");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);

        var watch = Stopwatch.StartNew();
        var waiting = Enumerable.Range(0, 3).Select(_ => gateways.PostAsync(gateways.First, path, _key)).ToList();
        for (var refused = 0; refused < 2; refused++)
        {
            var answered = await Task.WhenAny(waiting);
            waiting.Remove(answered);
            Expect.InProgress(await answered);
        }

        Assert.InRange(watch.Elapsed, TimeSpan.Zero, AtOnce);
        Assert.False(waiting[0].IsCompleted);
        held.Release();

        Expect.Replay(await running, await waiting[0]);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task MoreDuplicatesThanMayWaitAltogether_AreAnsweredAtOnce()
    {
        await using var gateway = await gateways.StartGatewayAsync(("Limits__MaxWaiters", "1"));
        string[] paths = [PolicyGateways.NewPath("wait"), PolicyGateways.NewPath("wait")];
        var held = paths.Select(gateways.HoldAt).ToList();
        var running = paths.Select(path => gateways.PostAsync(gateway, path, path[6..])).ToList();
        await Task.WhenAll(paths.Select(path => gateways.ArrivedAsync(path)));

        var watch = Stopwatch.StartNew();
        var waiting = paths.Select(path => gateways.PostAsync(gateway, path, path[6..])).ToList();
        var refused = await Task.WhenAny(waiting);
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, AtOnce);
        held.ForEach(point => point.Release());
        var firsts = await Task.WhenAll(running);

        Expect.InProgress(await refused);
        var other = 1 - waiting.IndexOf(refused);
        Expect.Replay(firsts[other], await waiting[other]);
        Assert.All(paths, path => Assert.Single(gateways.ArrivalsAt(path)));
    }

    [StoreFact]
    public async Task WhenTheFirstRequestWasNotServed_OneOfThoseThatWaitTakesItsPlace()
    {
        var path = PolicyGateways.NewPath("wait");
        using var refusing = new SyncPoint();
        using var serving = new SyncPoint();
        gateways.AnswerAt(path, async context =>
        {
            if (gateways.ArrivalsAt(path).Count == 1)
            {
                await refusing.Released;
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                return;
            }

            await serving.Released;
            await gateways.Backend.AnswerCreatedAsync(context);
        });
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);
        var waiting = new[] { gateways.First, gateways.First, gateways.Other, gateways.Other }.Select(gateway => gateways.PostAsync(gateway, path, _key)).ToList();
        await Task.Delay(Beginning);

        refusing.Release();
        var refused = await running;
        await gateways.ArrivedAsync(path, 2);
        Assert.DoesNotContain(waiting, answer => answer.IsCompleted);
        serving.Release();
        var answers = await Task.WhenAll(waiting);

        Assert.Equal(2, gateways.ArrivalsAt(path).Count);
        Assert.Equal((503, "released"), (refused.Status, refused.Header("Idempotency-Status")));
        var first = Assert.Single(answers, answer => !answer.IsReplay);
        Assert.Equal(201, first.Status);
        Assert.All(answers.Where(answer => answer != first), answer => Expect.Replay(first, answer));
    }

    [StoreFact]
    public async Task WhenTheFirstRequestEndsUncertain_ThoseThatWaitAreTold()
    {
        var path = PolicyGateways.NewPath("wait");
        using var cut = new SyncPoint();
        gateways.AnswerAt(path, async context =>
        {
            await cut.Released;
            context.Abort();
        });
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);
        var waiting = Task.WhenAll(gateways.PostAsync(gateways.First, path, _key), gateways.PostAsync(gateways.Other, path, _key));
        await Task.Delay(Beginning);
        Assert.False(waiting.IsCompleted);

        cut.Release();

        Expect.Problem(502, "outcome-uncertain", await running);
        Assert.All(await waiting, Expect.Uncertain);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task AClientThatLeaves_MakesRoomForAnother()
    {
        var path = PolicyGateways.NewPath("narrow");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);
        using var leaving = new CancellationTokenSource();
        var left = KeyedRequests.PostAsync(
            gateways.Client, gateways.First.Url + path, _key, headers: [KeyValuePair.Create("Host", "api.example")], cancellation: leaving.Token);
        await Task.Delay(Beginning);
        Expect.InProgress(await gateways.PostAsync(gateways.First, path, _key, "{}", ("Prefer", "wait=1")));

        await leaving.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => left);
        var waiting = gateways.PostAsync(gateways.First, path, _key);
        await Eventually.TrueAsync(
            async () =>
            {
                if (await Task.WhenAny(waiting, Task.Delay(Prompt)) != waiting)
                {
                    return true;
                }

                Expect.InProgress(await waiting); // its place was not free yet
                waiting = gateways.PostAsync(gateways.First, path, _key);
                return false;
            },
            "there is room to wait",
            AtOnce);
        held.Release();

        Expect.Replay(await running, await waiting);
        Assert.Single(gateways.ArrivalsAt(path));
        Assert.DoesNotContain(gateways.First.Output, line => line.Contains("fail:", StringComparison.Ordinal));
    }

    [StoreFact]
    public async Task AnotherRequestUnderTheKey_DoesNotWait()
    {
        var path = PolicyGateways.NewPath("wait");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);

        var watch = Stopwatch.StartNew();
        var reused = await gateways.PostAsync(gateways.Other, path, _key, """{"another":1}""");
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, AtOnce);
        held.Release();

        Expect.Problem(422, "key-reused", reused);
        Assert.Equal(201, (await running).Status);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task WhenTheStoreGoesAway_ThoseThatWaitGoOnWaiting_AndAreNeverForwarded()
    {
        var path = PolicyGateways.NewPath("wait");
        await gateways.PostAsync(gateways.Other, PolicyGateways.NewPath("wait"), EmbeddedGateway.NewKey()); // it has found its store
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, _key);
        await gateways.ArrivedAsync(path);
        var waiting = gateways.PostAsync(gateways.Other, path, _key);
        await Task.Delay(Beginning);

        await using (await gateways.SuspendStoreAsync())
        {
            await Task.Delay(AtOnce);
            Assert.False(waiting.IsCompleted);
        }

        held.Release();
        Assert.Equal(201, (await running).Status);
        Assert.Equal(201, (await waiting).Status);
        Assert.Single(gateways.ArrivalsAt(path));

        // Whoever waits from now on is told again, if not at once.
        await gateways.StoreIsBackAsync();
        await Eventually.TrueAsync(async () => Median(await ReplayedAfterAsync(rounds: 5)) < Prompt, "told by the store", 3 * RedisAnnouncements.RenewInterval);
    }

    [StoreFact]
    public async Task WhenTheGatewayEnds_ThoseThatWaitGetTheAnswer()
    {
        await using var ending = await gateways.StartGatewayAsync();
        var path = PolicyGateways.NewPath("wait");
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(ending, path, _key);
        await gateways.ArrivedAsync(path);
        var waiting = gateways.PostAsync(ending, path, _key);
        await Task.Delay(Beginning);

        var exit = ending.TerminateAsync();
        await ShuttingDownAsync(ending);
        held.Release();

        Expect.Replay(await running, await waiting);
        Assert.Equal(0, await exit);
        Assert.Single(gateways.ArrivalsAt(path));
    }

    [StoreFact]
    public async Task WhenTheGatewayEnds_NobodyTakesTheFirstRequestsPlaceThere()
    {
        await using var ending = await gateways.StartGatewayAsync();
        var path = PolicyGateways.NewPath("wait");
        using var refusing = new SyncPoint();
        gateways.AnswerAt(path, async context =>
        {
            await refusing.Released;
            context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
        });
        var running = gateways.PostAsync(ending, path, _key);
        await gateways.ArrivedAsync(path);
        var waiting = gateways.PostAsync(ending, path, _key);
        await Task.Delay(Beginning);

        var exit = ending.TerminateAsync();
        await ShuttingDownAsync(ending);
        refusing.Release();

        Assert.Equal("released", (await running).Header("Idempotency-Status"));
        Expect.Problem(503, "shutting-down", await waiting);
        Assert.Single(gateways.ArrivalsAt(path));
        Assert.Equal(0, await exit);
    }

    /// <summary>How long after each of some first answers the last of two duplicates, each at its gateway, got the replay.</summary>
    private async Task<List<TimeSpan>> ReplayedAfterAsync(int rounds)
    {
        var late = new List<TimeSpan>();
        while (late.Count < rounds)
        {
            var (path, key) = (PolicyGateways.NewPath("wait"), EmbeddedGateway.NewKey());
            using var held = gateways.HoldAt(path);
            var running = gateways.PostAsync(gateways.First, path, key);
            await gateways.ArrivedAsync(path);
            var duplicates = Task.WhenAll(gateways.PostAsync(gateways.First, path, key), gateways.PostAsync(gateways.Other, path, key));
            await Task.Delay(Beginning);
            Assert.False(duplicates.IsCompleted);

            held.Release();
            var first = await running;
            var answered = Stopwatch.StartNew();
            var replays = await duplicates;
            late.Add(answered.Elapsed);

            Assert.Single(gateways.ArrivalsAt(path));
            Assert.All(replays, replay => Expect.Replay(first, replay));
        }

        return late;
    }

    private static TimeSpan Median(List<TimeSpan> times) => times.Order().ElementAt(times.Count / 2);

    internal static Task ShuttingDownAsync(GatewayProcess gateway) => Eventually.TrueAsync(
        async () =>
        {
            try
            {
                await using var connection = await RawClient.ConnectAsync(gateway.Url);
                return false;
            }
            catch (System.Net.Sockets.SocketException)
            {
                return true;
            }
        },
        "the gateway listens no more");
}

public sealed class EmbeddedWaitTests(EmbeddedPolicyGateways gateways) : WaitTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisWaitTests(RedisPolicyGateways gateways) : WaitTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresWaitTests(PostgresPolicyGateways gateways) : WaitTests(gateways), IClassFixture<PostgresPolicyGateways>;
