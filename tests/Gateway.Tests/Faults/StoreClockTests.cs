using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Somebody sets the clock of the store's machine, or a gateway's, by an hour. A lease may end early or late; nothing runs twice.</summary>
public abstract class StoreClockTests(FaultyStore store) : StoreFaults
{
    /// <summary>The route of a lease that ends within the test unless it is renewed.</summary>
    private const string Brief = "/brief";

    /// <summary>Longer than the shortest: whoever asks for the time by way of the fake clock is slow on a busy machine.</summary>
    private static readonly TimeSpan Lease = 2 * BriefLease;

    public override async Task DisposeAsync()
    {
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    [StoreTheory]
    [InlineData(1, "outcome-uncertain")]
    [InlineData(-1, "in-progress")]
    public async Task AStoreWhoseClockJumps_RunsNothingTwice_AndServesOn(int hours, string told)
    {
        using var clock = new FakeClock();
        store.LiveBy(clock);
        await store.StartAsync();

        // Not renewed within the test: a renewal after the jump would be by the new clock.
        var environment = new Dictionary<string, string> { ["Idempotency__Policies__default__Lease"] = "00:10:00" };
        await using var owner = await StartConnectedGatewayAsync(store.Section(store.Endpoint), environment);
        await using var neighbour = await StartConnectedGatewayAsync(store.Section(store.Endpoint), environment);
        var recordedKey = EmbeddedGateway.NewKey();
        var recorded = await PostAsync(owner, recordedKey);
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        clock.Jump(TimeSpan.FromHours(hours));
        await WaitForJumpAsync(store.ReadClockAsync, hours);
        var meanwhile = await PostAsync(neighbour, Key);
        held.Release();
        var first = await running;

        await AssertReplayedAsync(first, neighbour, Key);
        Assert.Equal((409, told), (meanwhile.Status, meanwhile.ProblemType));
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        await AssertReplayedAsync(recorded, neighbour, recordedKey);
        await AssertRecoversAsync(neighbour, EmbeddedGateway.NewKey());
        await using var newcomer = await StartConnectedGatewayAsync(store.Section(store.Endpoint));
        await AssertReplayedAsync(first, newcomer, Key);
        AssertNotLogged(Alarm, owner, neighbour);
    }

    [StoreTheory]
    [InlineData(1)]
    [InlineData(-1)]
    public async Task AGatewayWhoseClockJumps_KeepsItsLease(int hours)
    {
        using var clock = new FakeClock();
        await store.StartAsync();
        var environment = new Dictionary<string, string>(clock.Environment) { ["Idempotency__Policies__brief__Lease"] = Lease.ToString("c") };
        await using var owner = await StartConnectedGatewayAsync(store.Section(store.Endpoint), environment);
        await using var neighbour = await StartConnectedGatewayAsync(store.Section(store.Endpoint));
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key, Brief);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        clock.Jump(TimeSpan.FromHours(hours));
        await WaitForJumpAsync(
            async () => DateTimeOffset.Parse((await PostAsync(owner, Key, Brief)).Header("Date")!, CultureInfo.InvariantCulture), hours);
        for (var watch = Stopwatch.StartNew(); watch.Elapsed < Lease + BriefLease;)
        {
            Expect.InProgress(await PostAsync(neighbour, Key, Brief));
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }

        held.Release();
        var first = await running;

        Expect.Replay(first, await PostAsync(neighbour, Key, Brief));
        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        AssertNotLogged("fail:", owner, neighbour);
    }

    private static Task WaitForJumpAsync(Func<Task<DateTimeOffset>> clock, int hours) => Eventually.TrueAsync(
        async () => (await clock() - TimeProvider.System.GetUtcNow() - TimeSpan.FromHours(hours)).Duration() < TimeSpan.FromMinutes(1), "the clock has jumped");
}

[OnRedis]
[MovesClocks]
public sealed class RedisClockTests() : StoreClockTests(new FaultyRedis());

[OnPostgres]
[MovesClocks]
public sealed class PostgresClockTests() : StoreClockTests(new FaultyPostgres());
