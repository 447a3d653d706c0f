using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>One request at a time for the same value (<c>Lock</c>), at whichever instance.</summary>
public abstract class LockTests(PolicyGateways gateways)
{
    /// <summary>A lease is not looked at more often than every half second, and machines are busy.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(3);

    private readonly string _alice = EmbeddedGateway.NewKey();
    private readonly string _bob = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task TwoUsers_OneSeat_OneAtATime()
    {
        var seat = PolicyGateways.NewPath("seat");
        using var held = gateways.HoldAt(seat);
        var alice = BookAsync(gateways.First, seat, _alice);
        await gateways.ArrivedAsync(seat);

        ExpectLocked(await BookAsync(gateways.First, seat, _bob));
        ExpectLocked(await BookAsync(gateways.Other, seat, _bob));
        Expect.InProgress(await BookAsync(gateways.Other, seat, _alice));
        Assert.Equal(201, (await BookAsync(gateways.Other, PolicyGateways.NewPath("seat"), EmbeddedGateway.NewKey())).Status);
        Assert.Single(gateways.ArrivalsAt(seat));
        held.Release();
        var booked = await alice;
        var bob = await BookAsync(gateways.Other, seat, _bob);

        Assert.Equal([_alice, _bob], gateways.ArrivalsAt(seat).Select(arrival => arrival.Key));
        Assert.Equal((201, 201, false), (booked.Status, bob.Status, bob.IsReplay));
    }

    [StoreFact]
    public async Task AUserMayWaitForTheSeat()
    {
        var seat = PolicyGateways.NewPath("queue");
        using var held = gateways.HoldAt(seat);
        var alice = BookAsync(gateways.First, seat, _alice);
        await gateways.ArrivedAsync(seat);
        var bob = BookAsync(gateways.Other, seat, _bob);
        ExpectNotDone(bob);
        await Task.Delay(TimeSpan.FromMilliseconds(100));
        Assert.Single(gateways.ArrivalsAt(seat));

        held.Release();
        Assert.Equal(201, (await alice).Status);
        var watch = Stopwatch.StartNew();

        Assert.Equal(201, (await bob).Status);
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, Margin);
        Assert.Equal([_alice, _bob], gateways.ArrivalsAt(seat).Select(arrival => arrival.Key));
    }

    [StoreFact]
    public async Task AClaimOutlivesItsLease_WhileItsRequestWaitsForTheSeat()
    {
        var seat = PolicyGateways.NewPath("queue");
        using var held = gateways.HoldAt(seat);
        var alice = BookAsync(gateways.First, seat, _alice);
        await gateways.ArrivedAsync(seat);
        var bob = BookAsync(gateways.First, seat, _bob);
        await Task.Delay(PolicyGateways.Lease + TimeSpan.FromSeconds(1.5));

        Expect.InProgress(await BookAsync(gateways.Other, seat, _bob));
        held.Release();
        Assert.Equal((201, 201), ((await alice).Status, (await bob).Status));
        Assert.Equal([_alice, _bob], gateways.ArrivalsAt(seat).Select(arrival => arrival.Key));
    }

    [StoreFact]
    public async Task AValueThatStandsTwice_IsNoLock()
    {
        var show = PolicyGateways.NewPath("several");
        var twice = await RawClient.ExchangeAsync(
            gateways.First.Url,
            $"POST {show} HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {_bob}\r\nX-House: a\r\nX-House: b\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{{\"show\":1}}");
        var empty = await gateways.PostAsync(gateways.First, show, _alice, """{"show":""}""", ("X-House", "a"));

        Assert.Empty(gateways.ArrivalsAt(show));
        Assert.Equal(400, twice!.Status);
        Expect.Problem(400, "request-invalid", empty);
        Assert.Equal(201, (await gateways.PostAsync(gateways.First, show, _alice, """{"show":1}""", ("X-House", "a"))).Status);
    }

    [StoreFact]
    public async Task WithoutAKey_RequestsTakeTurns_AndNothingIsReplayed()
    {
        var seat = PolicyGateways.NewPath("alone");
        using var held = gateways.HoldAt(seat);
        var first = gateways.PostAsync(gateways.First, seat, key: null);
        await gateways.ArrivedAsync(seat);

        ExpectLocked(await gateways.PostAsync(gateways.Other, seat, key: null));
        ExpectLocked(await gateways.PostAsync(gateways.First, seat, _alice));
        held.Release();
        var answers = new[] { await first, await gateways.PostAsync(gateways.Other, seat, _alice), await gateways.PostAsync(gateways.First, seat, _alice) };

        Assert.Equal(3, gateways.ArrivalsAt(seat).Count);
        Assert.All(answers, answer => Assert.Equal((201, false), (answer.Status, answer.IsReplay)));
    }

    [StoreFact]
    public async Task SeveralSelectors_LockTogether()
    {
        var seat = PolicyGateways.NewPath("several");
        using var held = gateways.HoldAt(seat);
        var alice = ShowAsync(gateways.First, _alice, "1", "x");
        await gateways.ArrivedAsync(seat);

        ExpectLocked(await ShowAsync(gateways.Other, _bob, "1", "x"));
        var others = new[] { ShowAsync(gateways.Other, EmbeddedGateway.NewKey(), "2", "x"), ShowAsync(gateways.Other, EmbeddedGateway.NewKey(), "1", "y") };
        await gateways.ArrivedAsync(seat, 3);
        held.Release();

        Assert.All(await Task.WhenAll([alice, .. others]), answer => Assert.Equal(201, answer.Status));
        Assert.DoesNotContain(gateways.ArrivalsAt(seat), arrival => arrival.Key == _bob);

        Task<Answer> ShowAsync(GatewayProcess gateway, string key, string show, string house) =>
            gateways.PostAsync(gateway, seat, key, $$"""{"show":{{show}}}""", ("X-House", house));
    }

    [StoreFact]
    public async Task ARequestWithoutTheValue_IsRefused_AndItsKeyIsFree()
    {
        var seat = PolicyGateways.NewPath("several");

        var refused = await gateways.PostAsync(gateways.First, seat, _alice, """{"show":1}""");
        Expect.Problem(400, "request-invalid", refused);
        Assert.Contains("header:X-House", refused.Text, StringComparison.Ordinal);
        Assert.Empty(gateways.ArrivalsAt(seat));

        Assert.Equal(201, (await gateways.PostAsync(gateways.Other, seat, _alice, """{"show":1}""", ("X-House", "x"))).Status);
    }

    [StoreFact]
    public async Task AReplay_NeedsNoLock()
    {
        var seat = PolicyGateways.NewPath("seat");
        var booked = await BookAsync(gateways.First, seat, _alice);
        using var held = gateways.HoldAt(seat);
        var bob = BookAsync(gateways.First, seat, _bob);
        await gateways.ArrivedAsync(seat, 2);

        Expect.Replay(booked, await BookAsync(gateways.First, seat, _alice));
        Expect.Replay(booked, await BookAsync(gateways.Other, seat, _alice));
        ExpectNotDone(bob);
        held.Release();
        Assert.Equal(201, (await bob).Status);
        Assert.Equal(2, gateways.ArrivalsAt(seat).Count);
    }

    [StoreFact]
    public async Task WhenTheOutcomeIsUncertain_TheLockStaysUntilItsLeaseIsOver()
    {
        foreach (var policy in (string[])["seat", "alone"])
        {
            var seat = PolicyGateways.NewPath(policy);
            gateways.CutOnceAt(seat);
            var watch = Stopwatch.StartNew();
            Assert.Equal(502, (await BookAsync(gateways.First, seat, _alice)).Status);

            ExpectLocked(await BookAsync(gateways.Other, seat, _bob));
            var bob = await BookUntilFreeAsync(seat);

            Assert.InRange(watch.Elapsed, PolicyGateways.Lease, PolicyGateways.Lease + Margin);
            Assert.Equal(201, bob.Status);
            Assert.Equal(2, gateways.ArrivalsAt(seat).Count);
        }
    }

    [StoreFact]
    public async Task WhenTheHolderDies_TheSeatIsFreeWithinTheLease()
    {
        await using var holder = await gateways.StartGatewayAsync();
        var seat = PolicyGateways.NewPath("seat");
        using var held = gateways.HoldAt(seat);
        var alice = BookAsync(holder, seat, _alice);
        await gateways.ArrivedAsync(seat);
        await holder.KillAsync();
        var watch = Stopwatch.StartNew();
        await Assert.ThrowsAsync<HttpRequestException>(() => alice);
        gateways.AnswerAt(seat, gateways.Backend.AnswerCreatedAsync);

        ExpectLocked(await BookAsync(gateways.Other, seat, _bob));
        Assert.Equal(201, (await BookUntilFreeAsync(seat)).Status);

        Assert.InRange(watch.Elapsed, TimeSpan.Zero, PolicyGateways.Lease + Margin);
        Assert.Equal([_alice, _bob], gateways.ArrivalsAt(seat).Select(arrival => arrival.Key));
    }

    [StoreFact]
    public async Task ALongRequest_KeepsTheLock_EvenWhenItsClientIsGone()
    {
        foreach (var policy in (string[])["seat", "alone"])
        {
            var seat = PolicyGateways.NewPath(policy);
            using var held = gateways.HoldAt(seat);
            using var leaving = new CancellationTokenSource();
            var alice = KeyedRequests.PostAsync(gateways.Client, gateways.First.Url + seat, _alice, cancellation: leaving.Token);
            await gateways.ArrivedAsync(seat);
            await leaving.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => alice);

            var watch = Stopwatch.StartNew();
            while (watch.Elapsed < 1.5 * PolicyGateways.Lease)
            {
                ExpectLocked(await BookAsync(gateways.Other, seat, _bob));
                await Task.Delay(TimeSpan.FromMilliseconds(50));
            }

            Assert.Single(gateways.ArrivalsAt(seat));
            held.Release();
            Assert.Equal(201, (await BookUntilFreeAsync(seat)).Status);
            Assert.Equal(2, gateways.ArrivalsAt(seat).Count);
        }
    }

    [StoreFact]
    public async Task WhenTheGatewayEnds_NobodyTakesTheLockThere()
    {
        await using var ending = await gateways.StartGatewayAsync();
        var seat = PolicyGateways.NewPath("queue");
        using var held = gateways.HoldAt(seat);
        var alice = BookAsync(ending, seat, _alice);
        await gateways.ArrivedAsync(seat);
        var bob = BookAsync(ending, seat, _bob);
        await Task.Delay(TimeSpan.FromMilliseconds(100));

        var exit = ending.TerminateAsync();
        await WaitTests.ShuttingDownAsync(ending);
        held.Release();

        Assert.Equal(201, (await alice).Status);
        Expect.Problem(503, "shutting-down", await bob);
        Assert.Single(gateways.ArrivalsAt(seat));
        Assert.Equal(0, await exit);
        Assert.Equal(201, (await BookAsync(gateways.Other, seat, _bob)).Status);
    }

    private static void ExpectNotDone(Task task) => Assert.False(task.IsCompleted);

    private static void ExpectLocked(Answer answer)
    {
        Expect.Problem(409, "resource-locked", answer);
        Assert.InRange(int.Parse(answer.Header("Retry-After")!, CultureInfo.InvariantCulture), 1, 2);
    }

    private Task<Answer> BookAsync(GatewayProcess gateway, string seat, string key) =>
        gateways.PostAsync(gateway, seat, key, "{}", ("Authorization", key)); // each user has a credential of its own

    private async Task<Answer> BookUntilFreeAsync(string seat)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await BookAsync(gateways.Other, seat, _bob)).Status != 409, "the seat is free");
        return answer!;
    }
}

public sealed class EmbeddedLockTests(EmbeddedPolicyGateways gateways) : LockTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisLockTests(RedisPolicyGateways gateways) : LockTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresLockTests(PostgresPolicyGateways gateways) : LockTests(gateways), IClassFixture<PostgresPolicyGateways>;
