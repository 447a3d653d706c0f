using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A standby that is not synchronous takes over and lacks the last writes. Replication is interrupted before them, so that what is lost is
/// known.
/// </summary>
public sealed class PostgresLossTests : StoreFaults
{
    /// <summary>The log event: acknowledged writes may be lost.</summary>
    private const string Lost = "[2009]";

    private PostgresProcess? _primary;
    private PostgresProcess? _standby;

    private PostgresProcess Primary => _primary!;

    private PostgresProcess Standby => _standby!;

    /// <summary>The section <c>Store</c> that names both servers.</summary>
    private object Both => GatewayConfig.Postgres($"Host={Primary.Endpoint},{Standby.Endpoint};Username=postgres;Database=postgres");

    public override async Task InitializeAsync()
    {
        if (PostgresInstallation.IsUsable(ownServer: true))
        {
            await base.InitializeAsync();
            _primary = NewPrimary();
            await Primary.StartAsync();
            _standby = PostgresProcess.StandbyOf(Primary);
            await Standby.StartAsync();
        }
    }

    public override async Task DisposeAsync()
    {
        await (_standby?.DisposeAsync() ?? default);
        await (_primary?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [PostgresFact(ownServer: true)]
    public async Task AnswersAndAClaimThatTheNewPrimaryLacks_ArePutBack_AndNoKeyExecutesTwice()
    {
        await using var owner = await StartConnectedGatewayAsync(Both);
        await using var neighbour = await StartConnectedGatewayAsync(Both);
        await StopReplicationAsync();
        var keys = Enumerable.Range(0, 50).Select(_ => EmbeddedGateway.NewKey()).ToList();
        var firsts = await Task.WhenAll(keys.Select(key => PostAsync(owner, key)));
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await Primary.StopAsync();
        await Standby.PromoteAsync();
        Answer? meanwhile = null;
        await Eventually.TrueAsync(async () => (meanwhile = await PostAsync(neighbour, Key)).ProblemType != "store-unavailable", "the store serves");
        var retries = await Task.WhenAll(keys.Select(key => PostAsync(neighbour, key)));
        held.Release();
        var first = await running;

        Assert.All(keys, key => Assert.Single(Backend.ArrivalsFor(key)));
        Assert.All(firsts.Zip(retries), pair => Expect.Replay(pair.First, pair.Second));
        Expect.InProgress(meanwhile!);
        await AssertReplayedAsync(first, neighbour, Key);
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        AssertLogged(Lost, owner, neighbour);
        AssertLogged(PutBack, owner);
        AssertLogged(Restarted, neighbour); // of its own writes none is missing
    }

    [PostgresFact(ownServer: true)]
    public async Task AGatewayThatComesAfterwards_WaitsUntilTheOthersHavePutTheirsBack()
    {
        await using var owner = await StartConnectedGatewayAsync(Both);
        await StopReplicationAsync();
        var first = await PostAsync(owner, Key);

        await Primary.StopAsync();
        await owner.PauseAsync(); // it notices late
        await Standby.PromoteAsync();
        await using var newcomer = await StartGatewayAsync(Both);
        Expect.Problem(503, "store-unavailable", await PostAsync(newcomer, Key));
        await owner.ResumeAsync();
        var retry = await PostUntilServedAsync(newcomer, Key);

        Assert.Single(Backend.ArrivalsFor(Key));
        Expect.Replay(first, retry);
        AssertNotLogged(Lost, newcomer);
    }

    [PostgresFact(ownServer: true)]
    public async Task AReleaseThatWasLost_LeavesItsKeyFree()
    {
        await using var owner = await StartConnectedGatewayAsync(Both);
        Backend.Handler = context =>
        {
            context.Response.StatusCode = 503;
            return Task.CompletedTask;
        };
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);
        await Eventually.TrueAsync(async () => await Standby.QueryAsync("SELECT count(*) FROM idempotency_records WHERE state = 'claimed'") is 1L, "the standby has the claim");
        await StopReplicationAsync();
        held.Release();
        Assert.Equal(503, (await running).Status);

        await Primary.StopAsync();
        await Standby.PromoteAsync();
        var again = await PostUntilServedAsync(owner, Key);

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.Equal(503, again.Status);
        AssertLogged(PutBack, owner);
    }

    [PostgresFact(ownServer: true)]
    public async Task AClaimThatIsLostTogetherWithItsOwner_IsTheDocumentedLoss_AndTheLogSaysThatItMayBe()
    {
        await using var owner = await StartConnectedGatewayAsync(Both);
        await using var neighbour = await StartConnectedGatewayAsync(Both);
        await StopReplicationAsync();
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        await Primary.StopAsync();
        await Standby.PromoteAsync();
        held.Release();
        var again = await PostUntilServedAsync(neighbour, Key);

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.Equal((201, false), (again.Status, again.IsReplay));
        AssertLogged(Lost, neighbour);
        AssertLogged(Restarted, neighbour);
    }

    private static PostgresProcess NewPrimary() => new();

    /// <summary>What the primary acknowledges from now on is lost with it.</summary>
    private async Task StopReplicationAsync()
    {
        // What was written before is there.
        var written = await Primary.QueryAsync("SELECT pg_current_wal_flush_lsn()::text");
        await Eventually.TrueAsync(async () => await Standby.QueryAsync($"SELECT pg_last_wal_replay_lsn() >= '{written}'") is true, "the standby has followed");
        await Standby.QueryAsync("ALTER SYSTEM SET primary_conninfo = ''");
        await Standby.QueryAsync("SELECT pg_reload_conf()");
        await Eventually.TrueAsync(async () => await Standby.QueryAsync("SELECT count(*) FROM pg_stat_wal_receiver") is 0L, "replication has stopped");
    }
}
