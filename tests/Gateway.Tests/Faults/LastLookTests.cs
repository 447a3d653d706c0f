using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A gateway is stopped for longer than its lease between having a claim or a lock and sending the request; another one goes on with the same
/// key or resource meanwhile. When the first wakes it must look, and not send.
/// </summary>
public abstract class LastLookTests : IAsyncLifetime
{
    /// <summary>More than the sockets and the window of HTTP/2 take.</summary>
    private static readonly string Large = $"\"{new string('x', 16 * 1024 * 1024)}\"";

    private readonly string _key = EmbeddedGateway.NewKey();
    private PausedGateways? _gateways;

    private protected PausedGateways Gateways => _gateways!;

    private HonestBackend Backend => Gateways.Backend;

    public async Task InitializeAsync() => _gateways = await StartAsync();

    public virtual async Task DisposeAsync() => await (_gateways?.DisposeAsync() ?? default);

    [StoreFact]
    public async Task StoppedWhileTheConnectionToTheBackendIsBeingMade_DoesNotSendWhatAnotherHasExecuted()
    {
        var first = await BeginAsync("/probe/1", _key);

        Answer? second = null;
        await Gateways.SleepAsync(async () => second = await Gateways.PostUntilAnsweredAsync("/probe/1", _key));
        var late = await first;

        Assert.Equal(1, Backend.ExecutionsOf(_key));
        Assert.Equal(201, second!.Status);
        Expect.InProgress(late);
        Expect.Replay(second, await Gateways.PostAsync(Gateways.Stopped, "/probe/1", _key));
    }

    [StoreFact]
    public async Task StoppedWhileTheConnectionToTheBackendIsBeingMade_SendsWhenNobodyElseCame()
    {
        var first = await BeginAsync("/probe/2", _key);

        await Gateways.SleepAsync(() => Task.CompletedTask);

        Assert.Equal(201, (await first).Status);
        Assert.Equal(1, Backend.ExecutionsOf(_key));
    }

    [StoreFact]
    public async Task StoppedWhileItWaitsForALock_DoesNotSendWhatAnotherHasExecuted()
    {
        using var held = Backend.HoldAt("/seat/3");
        var holder = Gateways.PostAsync(Gateways.Other, "/seat/3", "holder");
        await Backend.Ledger.WaitForAsync(key => key == "holder");
        var twice = new[] { Gateways.PostAsync(Gateways.Stopped, "/seat/3", _key), Gateways.PostAsync(Gateways.Stopped, "/seat/3", _key) };
        var refused = await Task.WhenAny(twice);
        Expect.InProgress(await refused); // so the other one has the key, and waits for the lock
        var first = twice.Single(request => request != refused);

        Answer? second = null;
        await Gateways.SleepAsync(async () =>
        {
            await Task.Delay(PausedGateways.Lease); // the key is uncertain then
            held.Release();
            second = await Gateways.PostUntilAnsweredAsync("/seat/3", _key);
        });
        var late = await first;

        Assert.Equal(1, Backend.ExecutionsOf(_key));
        Assert.Equal((201, 201), ((await holder).Status, second!.Status));
        Assert.Contains(late.ProblemType, (string[])["in-progress", "store-unavailable"]); // a call that was under way when it was stopped may have run out of time
        Assert.Equal(0, Backend.Overlaps);
    }

    [StoreFact]
    public async Task StoppedWithALockAlone_DoesNotSendWhileAnotherHoldsIt()
    {
        using var held = Backend.HoldAt("/alone/4");
        var first = await BeginAsync("/alone/4", "first");

        Task<Answer>? second = null;
        await Gateways.SleepAsync(async () =>
        {
            second = Gateways.PostAsync(Gateways.Other, "/alone/4", "second");
            await Backend.Ledger.WaitForAsync(key => key == "second");
        });
        await Task.WhenAny(first, Backend.Ledger.WaitForAsync(key => key == "first"));
        held.Release();
        var late = await first;

        Assert.Equal((0, 0), (Backend.Overlaps, Backend.ExecutionsOf("first")));
        Assert.Equal(201, (await second!).Status);
        Expect.Problem(409, "resource-locked", late);
    }

    [StoreFact]
    public Task OverHttp2_StoppedInTheMiddleOfTheBody_DoesNotSendTheRestOfWhatAnotherHasExecuted() => StopInTheMiddleAsync("/probe/5");

    [StoreFact]
    public Task OverHttp1_StoppedInTheMiddleOfTheBody_DoesNotSendTheRestOfWhatAnotherHasExecuted() => StopInTheMiddleAsync("/probe1/5");

    [StoreFact]
    public async Task StoppedInTheMiddleOfTheBody_SendsTheRestWhenNobodyElseCame()
    {
        var first = await BeginBodyAsync("/probe1/6", _key);

        await Gateways.SleepAsync(() => Task.CompletedTask);

        Assert.Equal(201, (await first).Status);
        Assert.Equal(1, Backend.ExecutionsOf(_key));
    }

    [StoreFact]
    public Task OverHttp2_StoppedInTheMiddleOfTheBody_WithALockAlone_DoesNotSendTheRestWhileAnotherHoldsIt() => StopInTheMiddleWithALockAsync("/alone/7");

    [StoreFact]
    public Task OverHttp1_StoppedInTheMiddleOfTheBody_WithALockAlone_DoesNotSendTheRestWhileAnotherHoldsIt() => StopInTheMiddleWithALockAsync("/alone1/7");

    private protected abstract Task<PausedGateways> StartAsync();

    private async Task StopInTheMiddleAsync(string path)
    {
        var first = await BeginBodyAsync(path, _key);

        Answer? second = null;
        await Gateways.SleepAsync(async () => second = await Gateways.PostUntilAnsweredAsync(path, _key, Large));
        var late = await first;

        Assert.Equal(1, Backend.ExecutionsOf(_key));
        Assert.Equal(201, second!.Status);
        Expect.Problem(502, "outcome-uncertain", late);
    }

    private async Task StopInTheMiddleWithALockAsync(string path)
    {
        using var held = Backend.HoldAt(path);
        var first = await BeginBodyAsync(path, "first");

        Task<Answer>? second = null;
        await Gateways.SleepAsync(async () =>
        {
            second = Gateways.PostAsync(Gateways.Other, path, "second");
            await Backend.Ledger.WaitForAsync(key => key == "second");
        });
        await Task.WhenAny(first, Backend.Ledger.WaitForAsync(key => key == "first"));
        held.Release();
        var late = await first;

        Assert.Equal((0, 0), (Backend.Overlaps, Backend.ExecutionsOf("first")));
        Assert.Equal((502, 201), (late.Status, (await second!).Status));
    }

    /// <summary>Returns when a part of the body is on its way, and the sockets take no more.</summary>
    private async Task<Task<Answer>> BeginBodyAsync(string path, string key)
    {
        await Gateways.PostAsync(Gateways.Stopped, path + "0", $"warm-{key}"); // a connection to go over
        Gateways.BackendLink.BlackHole(TcpDirections.ToServer);
        var request = Gateways.PostAsync(Gateways.Stopped, path, key, Large);
        await Gateways.BackendLink.Held.WaitForAsync(direction => direction == TcpDirections.ToServer);
        await Task.Delay(TimeSpan.FromMilliseconds(300)); // into the middle
        return request;
    }

    /// <summary>
    /// Sends a request to the gateway that is about to be stopped, and returns when it has its claim or lock, and no connection yet: the
    /// backend's part of the TLS handshake is held back until the link heals.
    /// </summary>
    private protected async Task<Task<Answer>> BeginAsync(string path, string key)
    {
        Gateways.BackendLink.BlackHole(TcpDirections.ToClient);
        var request = Gateways.PostAsync(Gateways.Stopped, path, key);
        await Gateways.BackendLink.Held.WaitForAsync(direction => direction == TcpDirections.ToClient);
        return request;
    }
}

/// <summary>Those that need a way to the store that can be held back.</summary>
public abstract class SharedLastLookTests(FaultyStore store) : LastLookTests
{
    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task StoppedWhileTheStoresRepliesAreOnTheirWay_DoesNotSendWhatAnotherHasExecuted()
    {
        // Several, because each is a race between the store's reply and the end of the time that the call may take.
        var keys = Enumerable.Range(0, 12).Select(_ => EmbeddedGateway.NewKey()).ToList();
        await Task.WhenAll(keys.Select(key => Gateways.PostAsync(Gateways.Stopped, "/direct/warm", $"warm-{key}")));
        var before = await store.CountRecordsAsync();
        Gateways.StoreLink!.BlackHole(TcpDirections.ToClient);
        var first = keys.Select(key => Gateways.PostAsync(Gateways.Stopped, "/direct/5", key)).ToList();
        await Eventually.TrueAsync(async () => await store.CountRecordsAsync() > before, "the store has claims");

        await Gateways.SleepAsync(() => Task.WhenAll(keys.Select(key => Gateways.PostUntilAnsweredAsync("/direct/5", key))));
        var late = await Task.WhenAll(first);

        Assert.Empty(Gateways.Backend.Repeated);

        // Who asks the store late enough finds the other's answer there.
        Assert.All(late.Where(answer => !answer.IsReplay), answer => Assert.Contains(answer.ProblemType, (string[])["in-progress", "store-unavailable"]));
    }

    [StoreFact]
    public async Task WhenTheStoreIsAwayAtTheLastLook_NothingIsSent_AndTheKeyIsFreeAfterwards()
    {
        var first = await BeginAsync("/probe/7", _key);
        Gateways.StoreLink!.BlackHole();
        await Task.Delay(PausedGateways.Lease);
        Gateways.BackendLink.Heal();

        Expect.Problem(503, "store-unavailable", await first);
        Assert.Equal(0, Gateways.Backend.ExecutionsOf(_key));
        Gateways.StoreLink.Heal();
        Assert.Equal(201, (await Gateways.PostUntilAnsweredAsync("/probe/7", _key)).Status);
        Assert.Equal(1, Gateways.Backend.ExecutionsOf(_key));
    }

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await store.DisposeAsync();
    }

    private protected override async Task<PausedGateways> StartAsync()
    {
        await store.StartAsync();
        return await PausedGateways.StartAsync(store.Endpoint, endpoint => store.Section(endpoint!));
    }
}

public sealed class EmbeddedLastLookTests : LastLookTests
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("last-look-");

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        _folder.Delete(recursive: true);
    }

    private protected override Task<PausedGateways> StartAsync() => PausedGateways.StartAsync(
        endpoint: null, _ => new { Kind = "Embedded", Embedded = new { Path = Path.Combine(_folder.FullName, "idempotency.db") } });
}

[OnRedis]
public sealed class RedisLastLookTests() : SharedLastLookTests(new FaultyRedis());

[OnPostgres]
public sealed class PostgresLastLookTests() : SharedLastLookTests(new FaultyPostgres());
