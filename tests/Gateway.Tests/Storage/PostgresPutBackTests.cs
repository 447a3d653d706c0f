using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Microsoft.Extensions.Logging.Testing;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What a server lost, how that is noticed, and what is put back of it.</summary>
public sealed class PostgresPutBackTests
{
    private static readonly byte[] Answer = [1, 2, 3];
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(1);

    [PostgresFact(ownServer: true)]
    public async Task AnOlderCopyOnTheSameTimeline_IsNoticedByItsLog_AndGetsWhatItLacks()
    {
        await using var own = new PostgresProcess();
        await own.StartAsync();
        var log = new FakeLogger<PostgresStore>();
        await using var store = PostgresStores.Open(own.ConnectionString, Short, log);
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default));
        await own.StopAsync();
        await PostgresInstallation.RunAsync(PostgresInstallation.AsServerUser(new("cp", ["-R", own.DataDirectory, own.DataDirectory + "-copy"])));
        await own.StartAsync();
        var (running, settled) = (StoreContractTests.NewClaim(), StoreContractTests.NewClaim());
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(running, default));
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(settled, default));
        Assert.Equal(WriteResult.Done, await store.SettleAsync(settled, Answer, default));
        await own.QueryAsync("SELECT pg_logical_emit_message(false, 'more', repeat('x', 100000))");
        await WaitForLookAsync(own.QueryAsync, listeners: 1);

        await own.StopAsync();
        await PostgresInstallation.RunAsync(PostgresInstallation.AsServerUser(
            new("sh", ["-c", $"rm -rf '{own.DataDirectory}' && mv '{own.DataDirectory}-copy' '{own.DataDirectory}'"])));
        await own.StartAsync();
        var found = await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.Duplicate(settled), default));

        Assert.Equal((ClaimState.Settled, Convert.ToHexString(Answer)), (found.State, Convert.ToHexString(found.Answer.Span)));
        Assert.Equal(ClaimState.InProgress, (await store.ClaimAsync(StoreContractTests.Duplicate(running), default)).State);
        // A server that is slow to start may be found twice.
        var events = log.Collector.GetSnapshot().Select(entry => entry.Id.Id).Where(id => id is 2009 or 2005 or 2008).ToList();
        Assert.Equal([2009, 2005], events.Take(events.IndexOf(2005) + 1).Distinct());
    }

    [PostgresFact]
    public async Task TablesThatWereMadeAnew_GetWhatEveryGatewayKnows_AlsoOfOneWithoutRequests()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var busy = PostgresStores.Open(database.ConnectionString, Short);
        await using var idle = PostgresStores.Open(database.ConnectionString, Short);
        var (ofBusy, ofIdle) = (StoreContractTests.NewClaim(), StoreContractTests.NewClaim());
        foreach (var (store, claim) in new[] { (busy, ofBusy), (idle, ofIdle) })
        {
            await PostgresStores.OnceServedAsync(() => store.ClaimAsync(claim, default));
            await store.SettleAsync(claim, Answer, default);
        }

        await WaitForLookAsync(database.QueryAsync, listeners: 2);
        await database.QueryAsync("DROP TABLE idempotency_records, idempotency_secret, idempotency_schema");

        // From the first claim on that is served.
        var found = await PostgresStores.OnceServedAsync(() => busy.ClaimAsync(StoreContractTests.Duplicate(ofIdle), default));
        Assert.Equal(ClaimState.Settled, found.State);
        Assert.Equal(ClaimState.Settled, (await busy.ClaimAsync(StoreContractTests.Duplicate(ofBusy), default)).State);
    }

    /// <summary>The write is on its way when the request releases its claim; what comes to light then has no owner.</summary>
    [PostgresFact]
    public async Task AClaimThatIsReleasedWhileItIsPutBack_StaysFree()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var parts = await Parts.StartAsync(database);
        var claim = StoreContractTests.NewClaim();
        parts.Journal.Add(claim, end: null);
        await using var connection = new NpgsqlConnection(database.ConnectionString);
        await connection.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await PostgresRecords.InsertAsync(connection, StoreContractTests.Duplicate(claim), notAfter: DateTimeOffset.MaxValue.ToUnixTimeMilliseconds());

        var puttingBack = parts.PutBack.RunAsync();
        await Eventually.TrueAsync(
            async () => await database.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") is 1L, "it waits");
        parts.Journal.Add(claim, ClaimEnd.Release); // as the owner does before it sends
        await transaction.RollbackAsync();
        await puttingBack;

        Assert.Equal(0L, await CountLiveAsync(database));
        Assert.Equal(ClaimState.Claimed, (await parts.Store.ClaimAsync(StoreContractTests.Duplicate(claim), default)).State);
    }

    [PostgresFact]
    public async Task EveryLastWord_IsPutBackAsItIs_AndWhatOthersWroteIsLeftAlone()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var parts = await Parts.StartAsync(database);
        var claims = Enumerable.Range(0, 8).Select(_ => StoreContractTests.NewClaim() with { Probe = new byte[] { 9 } }).ToArray();
        var (running, settled, uncertain, released, half, lostRelease, taken, secondAttempt) =
            (claims[0], claims[1], claims[2], claims[3], claims[4], claims[5], claims[6], claims[7] with { Attempt = 2 });
        var firstAttempt = StoreContractTests.Duplicate(secondAttempt) with { Attempt = 1 };
        foreach (var kept in (ClaimRequest[])[half, lostRelease])
        {
            await parts.Store.ClaimAsync(kept, default); // the claim had reached the standby, its end had not
        }

        var foreign = StoreContractTests.Duplicate(taken);
        await parts.Store.ClaimAsync(foreign, default);
        foreach (var claim in claims.Append(firstAttempt))
        {
            parts.Journal.Add(claim, end: null);
        }

        parts.Journal.Add(settled, ClaimEnd.Settle, Answer);
        parts.Journal.Add(half, ClaimEnd.Settle, Answer);
        parts.Journal.Add(uncertain, ClaimEnd.MarkUncertain);
        parts.Journal.Add(firstAttempt, ClaimEnd.MarkUncertain);
        parts.Journal.Add(released, ClaimEnd.Release);
        parts.Journal.Add(lostRelease, ClaimEnd.Release);

        var putBack = await parts.PutBack.RunAsync();
        var again = await parts.PutBack.RunAsync();

        Assert.Equal(ClaimState.InProgress, await StateAsync(running));
        Assert.Equal(ClaimState.Settled, await StateAsync(settled));
        Assert.Equal(ClaimState.Settled, await StateAsync(half));
        Assert.Equal(ClaimState.Uncertain, await StateAsync(uncertain));
        Assert.Null(await StateAsync(released));
        Assert.Null(await StateAsync(lostRelease));
        Assert.Equal(WriteResult.Done, await parts.Store.SettleAsync(foreign, Answer, default));
        Assert.Equal(WriteResult.Done, await parts.Store.SettleAsync(secondAttempt, Answer, default));
        Assert.Equal([2011], parts.Log.Collector.GetSnapshot().Select(entry => entry.Id.Id).Where(id => id is 2011).Distinct());
        Assert.InRange(putBack, 6, 7); // both attempts, if the first came before the second
        Assert.Equal(0, again);

        async Task<ClaimState?> StateAsync(ClaimRequest claim) => (await parts.Store.WatchAsync(claim.Id, default))?.State;
    }

    /// <summary>A slow answer that is overtaken is no shorter log, and one about another server is another server.</summary>
    [Theory]
    [InlineData(1, "00000001", 5, 100, null)]
    [InlineData(1, "00000001", 0, 100, null)] // the tables are not there yet
    [InlineData(1, "00000001", 5, 99, "log")]
    [InlineData(1, "00000002", 5, 200, "timeline")]
    [InlineData(2, "00000001", 5, 200, "cluster")]
    [InlineData(1, "00000001", 6, 200, "table")]
    public void ALoss_IsToldByItsSign(long system, string timeline, long table, long flushedTo, string? sign)
    {
        var before = new PostgresIdentity(1, "00000001", 5, 100, IsNew: false);

        var loss = new PostgresIdentity(system, timeline, table, flushedTo, IsNew: false).LossSince(before);

        Assert.True(sign is null ? loss is null : loss!.Contains(sign, StringComparison.Ordinal), loss);
    }

    private static async Task<long> CountLiveAsync(PostgresServer database) =>
        (long)(await database.QueryAsync("SELECT count(*) FROM idempotency_records WHERE expires_at > now()"))!;

    /// <summary>Returns when the listeners of all stores have looked at the server once more.</summary>
    private static async Task WaitForLookAsync(Func<string, Task<object?>> queryAsync, int listeners)
    {
        var now = ((DateTime)(await queryAsync("SELECT clock_timestamp()"))!).ToString("O");
        await Eventually.TrueAsync(
            async () => await queryAsync(
                $"SELECT count(*) >= {listeners} FROM pg_stat_activity WHERE datname = current_database() AND {PostgresStores.IsListener} AND query_start > '{now}' AND state = 'idle'") is true,
            "they have looked");
    }

    /// <summary>What a store is made of, with a journal at hand.</summary>
    private sealed class Parts : IAsyncDisposable
    {
        private readonly PostgresConnections _connections;

        private Parts(PostgresServer database)
        {
            Store = PostgresStores.Open(database.ConnectionString);
            var settings = new StoreSettings { Kind = StoreKind.Postgres, Timeout = PostgresStores.Patient, Postgres = new() { ConnectionString = database.ConnectionString } };
            _connections = new PostgresConnections(settings, () => Task.FromResult(0), TimeProvider.System, Log);
            PutBack = new PostgresPutBack(Store, _connections, Journal, settings.Timeout, TimeProvider.System, Log);
        }

        public PostgresStore Store { get; }

        public WriteJournal Journal { get; } = new(TimeProvider.System);

        public FakeLogger<PostgresStore> Log { get; } = new();

        public PostgresPutBack PutBack { get; }

        public static async Task<Parts> StartAsync(PostgresServer database)
        {
            var parts = new Parts(database);
            await parts.Store.PingAsync(default); // the tables are there
            return parts;
        }

        public async ValueTask DisposeAsync()
        {
            await _connections.DisposeAsync();
            await Store.DisposeAsync();
        }
    }
}
