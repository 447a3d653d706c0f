using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What must not be believed: a row that only looks like the one that was read, a commit that the standby may lack, a claim that may still come to light.</summary>
public sealed class PostgresDoubtTests(PostgresServer server) : IClassFixture<PostgresServer>
{
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(2);

    [PostgresFact]
    public async Task ARowThatWasDeletedAndMadeAnew_IsNotTakenForTheOneThatWasRead()
    {
        await using var store = PostgresStores.Open(server.ConnectionString);
        await using var connection = await OpenAsync(server);
        var (over, slow) = (StoreContractTests.NewClaim() with { Lease = TimeSpan.FromMilliseconds(1), Retention = TimeSpan.FromMilliseconds(1) }, ClaimToken.Create());
        await store.ClaimAsync(over, default);
        await Task.Delay(20);
        var read = await PostgresRecords.FindAsync(connection, over.Id);

        await server.QueryAsync($"DELETE FROM idempotency_records WHERE id = '\\x{over.Id}'");
        var quick = StoreContractTests.NewClaim() with { Id = over.Id };
        await store.ClaimAsync(quick, default);
        var late = quick with { Token = slow };
        var (_, write) = RecordRules.Claim(read.Record, late, read.Now);

        Assert.Equal(RecordWriteKind.Put, write.Kind);
        Assert.False(await PostgresRecords.WriteAsync(connection, write, late, answer: null, read.Version, notAfter: read.Now + 60_000));
        Assert.Equal(WriteResult.Done, await store.SettleAsync(quick, new byte[] { 1 }, default));
    }

    [PostgresTheory(ownServer: true)]
    [InlineData("pg_terminate_backend")] // the client sees its connection end
    [InlineData("pg_cancel_backend")] // the client is told that all is well, and warned
    public async Task AClaimThatTheSynchronousStandbyMayLack_IsNotHad_AndIsFreeOnceItIsReleased(string interrupt)
    {
        await using var own = await PostgresServer.StartOwnAsync();
        await using var store = PostgresStores.Open(own.ConnectionString, Short);
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default));
        await own.QueryAsync("ALTER SYSTEM SET synchronous_standby_names = 'absent'");
        await own.QueryAsync("SELECT pg_reload_conf()");
        await Eventually.TrueAsync(async () => await own.QueryAsync("SHOW synchronous_standby_names") is "absent", "the server waits for a standby");
        var claim = StoreContractTests.NewClaim();

        // The server process that waits is interrupted: the claim is committed here, and may never be elsewhere.
        var claiming = store.ClaimAsync(claim, default).AsTask();
        await Eventually.TrueAsync(
            async () => await own.QueryAsync($"SELECT count({interrupt}(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'") is > 0L || claiming.IsCompleted, "it waited");
        var unavailable = await Assert.ThrowsAsync<StoreUnavailableException>(() => claiming);
        Assert.True(unavailable.MayHaveTakenEffect);

        await own.QueryAsync("ALTER SYSTEM RESET synchronous_standby_names");
        await own.QueryAsync("SELECT pg_reload_conf()");
        Assert.Equal(WriteResult.Done, await PostgresStores.OnceServedAsync(() => store.ReleaseAsync(claim, default)));
        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(StoreContractTests.Duplicate(claim), default)).State);
    }

    [PostgresFact]
    public async Task ARelease_WaitsForAClaimWhoseCommitHangs()
    {
        await using var store = PostgresStores.Open(server.ConnectionString);
        await using var connection = await OpenAsync(server);
        var claim = StoreContractTests.NewClaim();
        await store.PingAsync(default);

        // The claim's own statement, on a connection that does not commit yet.
        await using var transaction = await connection.BeginTransactionAsync();
        await PostgresRecords.InsertAsync(connection, claim, notAfter: DateTimeOffset.MaxValue.ToUnixTimeMilliseconds());
        var releasing = store.ReleaseAsync(claim, default).AsTask();
        await Eventually.TrueAsync(
            async () => releasing.IsCompleted || await server.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") is > 0L,
            "it waits");
        await transaction.CommitAsync();

        Assert.Equal(WriteResult.Done, await releasing);
        Assert.Null(await store.WatchAsync(claim.Id, default));
    }

    [PostgresFact]
    public async Task AClaimThatMayStand_IsNotForgotten_WhenTheNextTryIsRefused()
    {
        await using var own = await PostgresServer.NewDatabaseAsync();
        var database = new NpgsqlConnectionStringBuilder(own.ConnectionString).Database;
        await using var link = TcpProxy.Start(own.Endpoint);
        await using var store = PostgresStores.Open(own.ConnectionStringVia(link.Endpoint));
        await store.ClaimAsync(StoreContractTests.NewClaim(), default);
        var claim = StoreContractTests.NewClaim();

        link.BlackHole(TcpDirections.ToClient);
        var claiming = store.ClaimAsync(claim, default).AsTask();
        await Eventually.TrueAsync(
            async () => await own.QueryAsync($"SELECT count(*) FROM idempotency_records WHERE id = '\\x{claim.Id}'") is 1L, "the server has done it");
        await server.QueryAsync($"ALTER DATABASE {database} ALLOW_CONNECTIONS false");
        link.Cut();
        link.Heal();

        var unavailable = await Assert.ThrowsAsync<StoreUnavailableException>(() => claiming);
        Assert.Contains("55000", unavailable.Message, StringComparison.Ordinal); // the server's own word, which it has for the next try only
        Assert.True(unavailable.MayHaveTakenEffect);
    }

    [PostgresFact]
    public async Task AHostThatIsSilent_IsFollowedByTheNext()
    {
        await using var silent = TcpProxy.Start(server.Endpoint);
        silent.BlackHole();
        var hosts = new NpgsqlConnectionStringBuilder(server.ConnectionString) { Host = $"{silent.Endpoint},{server.Endpoint}" };
        await using var store = PostgresStores.Open(hosts.ConnectionString, Short);

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(StoreContractTests.NewClaim(), default));

        Assert.Equal(ClaimState.Claimed, (await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default))).State);
        for (var i = 0; i < 5; i++)
        {
            Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(StoreContractTests.NewClaim(), default)).State);
        }
    }

    [PostgresFact]
    public async Task ConnectionsThatHang_AreReplaced_AlsoUnderLoad()
    {
        const int PoolSize = 3;
        await using var link = TcpProxy.Start(server.Endpoint);
        await using var store = PostgresStores.Open($"{server.ConnectionStringVia(link.Endpoint)};Maximum Pool Size={PoolSize};Application Name=hanging", Short);
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default));
        using var enough = new CancellationTokenSource();
        var load = Enumerable.Range(0, 20).Select(_ => ClaimUntilAsync(store, enough.Token)).ToList();
        await Eventually.TrueAsync(
            async () => await server.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hanging'") is PoolSize + 1L,
            "the pool is full, and one connection listens");

        link.ForgetConnections();

        try
        {
            Assert.Equal(ClaimState.Claimed, (await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default))).State);
        }
        finally
        {
            await enough.CancelAsync();
            await Task.WhenAll(load);
        }
    }

    [PostgresFact]
    public async Task AConnectionThatHangsWhileItLooksAtTheTables_DoesNotHoldUpTheOthers()
    {
        await using var link = TcpProxy.Start(server.Endpoint);
        await using var store = PostgresStores.Open($"{server.ConnectionStringVia(link.Endpoint)};Application Name=looking", Short);
        await using var first = PostgresStores.Open(server.ConnectionString);
        await first.PingAsync(default); // the tables are there
        await using var connection = await OpenAsync(server);
        await using var transaction = await connection.BeginTransactionAsync();
        await using var hold = new NpgsqlCommand("LOCK TABLE idempotency_schema", connection, transaction);
        await hold.ExecuteNonQueryAsync();
        var looking = store.PingAsync(default).AsTask();
        await Eventually.TrueAsync(
            async () => await server.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'looking' AND wait_event_type = 'Lock'") is > 0L, "it looks");

        link.ForgetConnections();
        await transaction.RollbackAsync();

        await Assert.ThrowsAsync<StoreUnavailableException>(() => looking);
        Assert.Equal(ClaimState.Claimed, (await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default))).State);
    }

    private static async Task ClaimUntilAsync(PostgresStore store, CancellationToken enough)
    {
        while (!enough.IsCancellationRequested)
        {
            try
            {
                await store.ClaimAsync(StoreContractTests.NewClaim(), default);
            }
            catch (StoreUnavailableException)
            {
                await Task.Delay(10, CancellationToken.None);
            }
        }
    }

    private static async Task<NpgsqlConnection> OpenAsync(PostgresServer server)
    {
        var connection = new NpgsqlConnection(server.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }
}
