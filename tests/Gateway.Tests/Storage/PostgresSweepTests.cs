using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Microsoft.Extensions.Logging.Testing;
using Npgsql;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Storage;

/// <summary>What the sweep costs, who does it, and what a slow one says.</summary>
public sealed class PostgresSweepTests(ITestOutputHelper output)
{
    /// <summary>Live records, in random order of expiry. The plan is the same with a million; the time is measured with that many, by hand.</summary>
    private static readonly int LiveRows =
        int.TryParse(Environment.GetEnvironmentVariable("SWEEP_TEST_ROWS"), NumberStyles.None, CultureInfo.InvariantCulture, out var rows) ? rows : 30_000;

    /// <summary>A round that has nothing to do, and one that is full.</summary>
    private static readonly TimeSpan Round = TimeSpan.FromMilliseconds(50);

    /// <summary>What looks for records by something else than their ids or by many ids, and the index that each is to seek in.</summary>
    private static readonly Dictionary<string, (string Parameters, string Sql, string Arguments, string Seek)> Statements = new()
    {
        ["sweep"] = ("", PostgresSql.Sweep(1024), "", "Index Cond: (expires_at <="),
        ["uncertain"] = ("(bytea, integer)", PostgresSql.FindUncertain, @"('\x00', 100)", "idempotency_records_open"),
        ["walk's end"] = ("(bytea, integer)", PostgresSql.WalkEnd, @"('\x00', 249)", "Index Cond: (id >"),
        ["walk"] = ("(bytea, bytea)", PostgresSql.WalkUncertain, @"(sha256('1'), sha256('1') || '\x00')", "Index Cond: ((id >"),
        ["renew"] = (
            "(bytea[], uuid[], double precision[], double precision[], timestamptz)", PostgresSql.RenewOwn,
            "(ARRAY[sha256('1')], ARRAY[gen_random_uuid()], ARRAY[1000], ARRAY[1000], now())", "Index Cond: (id = own.id)"),
        ["many"] = ("(bytea[])", PostgresSql.FindMany, "(ARRAY[sha256('1'), sha256('2')])", "Index Cond: (id = own.own_id)"),
    };

    [PostgresFact]
    public async Task NoStatement_ReadsTheWholeTable_WhateverThePlannerKnows()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await FillAsync(database);

        foreach (var statistics in (string[])["SELECT 1", "ANALYZE idempotency_records"])
        {
            foreach (var plan in (string[])["auto", "force_custom_plan", "force_generic_plan"])
            {
                foreach (var (name, (parameters, sql, arguments, seek)) in Statements)
                {
                    var text = await ReadAsync(database, $"{statistics}; SET plan_cache_mode = {plan}; PREPARE it{parameters} AS {sql}; EXPLAIN EXECUTE it{arguments}");

                    Assert.True(
                        text.Contains(seek, StringComparison.Ordinal) && !text.Contains("Seq Scan", StringComparison.Ordinal), $"{name}, {statistics}, {plan}:\n{text}");
                }
            }
        }
    }

    [PostgresFact]
    public async Task ARound_TakesNoTime_WhetherThereIsNothingToDoOrMuch()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await FillAsync(database);
        await using var connection = await OpenAsync(database);

        var idle = await MeasureAsync(connection, 0);
        await database.QueryAsync(
            "UPDATE idempotency_records SET lease_until = 'epoch', expires_at = now() - interval '1 minute' WHERE id IN (SELECT id FROM idempotency_records LIMIT 5120)");
        var full = await MeasureAsync(connection, 1024);

        Assert.InRange(idle, TimeSpan.Zero, Round);
        Assert.InRange(full, TimeSpan.Zero, Round);
        Assert.Equal((long)LiveRows - 5120, await database.QueryAsync("SELECT count(*) FROM idempotency_records"));
        output.WriteLine($"{LiveRows} live rows: a round without work takes {idle.TotalMilliseconds:0.0} ms, a full one {full.TotalMilliseconds:0.0} ms.");
    }

    [PostgresFact(ownServer: true)]
    public async Task FiveGateways_SweepOnceInAnInterval()
    {
        const int Gateways = 5;
        const int Rounds = 5;
        var interval = TimeSpan.FromSeconds(2);
        await using var own = await PostgresServer.StartCountingAsync();
        var gateways = await Task.WhenAll(Enumerable.Range(0, Gateways).Select(_ => Sweeper.StartAsync(own.ConnectionString, interval)));
        await Eventually.TrueAsync(async () => await own.QueryAsync($"SELECT count(*) FROM pg_stat_activity WHERE {PostgresStores.IsListener}") is (long)Gateways, "all listen");
        var before = own.Output.Count(IsSweep);

        await Task.Delay(Rounds * interval);
        var swept = own.Output.Count(IsSweep) - before;

        // Each by itself would be 20 to 25. Their turns lie half a second apart at most, so those that a busy machine tells too late look as
        // well (11 were seen): the limit stands between the two.
        Assert.InRange(swept, Rounds - 2, 3 * Rounds);
        await Task.WhenAll(gateways.Select(gateway => gateway.DisposeAsync().AsTask()));
    }

    [PostgresFact]
    public async Task WhileOneSweeps_TheOthersDoNot_AndTablesOfAnotherSchemaDoNotWait()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var one = await OpenAsync(database);
        await using var other = await OpenAsync(database);
        await database.QueryAsync("CREATE SCHEMA neighbour");
        await using var neighbour = await OpenAsync(database, "Search Path=neighbour");
        foreach (var path in (string[])["public", "neighbour"])
        {
            await database.QueryAsync($"SET search_path = {path}; {EmbeddedResource.Read(typeof(PostgresSchema), "schema.sql")}");
            await InsertOverAsync(database, path, 10);
        }

        await using (var transaction = await one.BeginTransactionAsync())
        {
            // It has its turn until it commits.
            Assert.Equal(4, await PostgresRecords.SweepAsync(one, 4));

            Assert.Equal(0, await PostgresRecords.SweepAsync(other, 4));
            Assert.Equal(4, await PostgresRecords.SweepAsync(neighbour, 4));
            await transaction.CommitAsync();
        }

        Assert.Equal(6, await PostgresRecords.SweepAsync(other, 1024));
    }

    [PostgresFact]
    public async Task ASweepThatIsTooSlow_SaysNothingAboutRequests_AndLeavesFewerForTheNext()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await database.QueryAsync(EmbeddedResource.Read(typeof(PostgresSchema), "schema.sql"));
        await InsertOverAsync(database, "public", 100);
        await database.QueryAsync(
            """
            CREATE SEQUENCE tried;
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('tried'); PERFORM pg_sleep(0.05); RETURN OLD; END $$;
            CREATE TRIGGER slow BEFORE DELETE ON idempotency_records FOR EACH ROW EXECUTE FUNCTION slow();
            """);
        var log = new FakeLogger<PostgresStore>();

        // 100 in one batch take 5 s, and a call may take one; 16 do not.
        await using (await Sweeper.StartAsync(database.ConnectionString, TimeSpan.FromMilliseconds(200), log))
        {
            await Eventually.TrueAsync(async () => await database.QueryAsync("SELECT count(*) FROM idempotency_records") is 0L, "all are deleted");
        }

        Assert.NotEqual(100L, await database.QueryAsync("SELECT last_value FROM tried")); // some more than once
        Assert.DoesNotContain(log.Collector.GetSnapshot(), entry => entry.Id.Id is 2000 or 2001);
    }

    /// <summary>The other call that nobody waits for.</summary>
    [PostgresFact]
    public async Task ALookForUncertainRecordsThatIsTooSlow_SaysNothingAboutRequests_AndARequestDoes()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        var log = new FakeLogger<PostgresStore>();
        await using var store = PostgresStores.Open(database.ConnectionString, TimeSpan.FromSeconds(1), log);
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default));
        var reported = log.Collector.GetSnapshot().Count;
        await using var connection = await OpenAsync(database);
        await using var transaction = await connection.BeginTransactionAsync();
        await using var hold = new NpgsqlCommand("LOCK TABLE idempotency_records", connection, transaction);
        await hold.ExecuteNonQueryAsync();

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.FindUncertainAsync(10, default));
        Assert.Equal(reported, log.Collector.GetSnapshot().Count);
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(StoreContractTests.NewClaim(), default));

        Assert.Equal(2000, log.Collector.GetSnapshot()[^1].Id.Id);
    }

    private static bool IsSweep(string line) => line.StartsWith("idempotency-gateway", StringComparison.Ordinal) && line.Contains("WITH turn AS", StringComparison.Ordinal);

    private static async Task FillAsync(PostgresServer database)
    {
        await database.QueryAsync(EmbeddedResource.Read(typeof(PostgresSchema), "schema.sql"));
        await using var connection = await OpenAsync(database);
        await using var fill = new NpgsqlCommand(
            """
            INSERT INTO idempotency_records (id, state, token, fingerprint, lease_until, expires_at, answer)
            SELECT sha256(n::text::bytea), 'settled', gen_random_uuid(), '\x01' || sha256('x'), now(), now() + interval '5 minutes' + random() * interval '1 day', '\x01'
            FROM generate_series(1, $1) AS n
            """,
            connection);
        fill.CommandTimeout = 0;
        fill.Parameters.Add(new() { Value = LiveRows });
        await fill.ExecuteNonQueryAsync();
    }

    private static Task<object?> InsertOverAsync(PostgresServer database, string schema, int count) => database.QueryAsync(
        $"""
        INSERT INTO {schema}.idempotency_records (id, state, token, fingerprint, lease_until, expires_at)
        SELECT sha256(n::text::bytea), 'claimed', gen_random_uuid(), '\x01' || sha256('x'), now() - interval '2 minutes', now() - interval '1 minute'
        FROM generate_series(1, {count}) AS n
        """);

    /// <summary>The median of five.</summary>
    private static async Task<TimeSpan> MeasureAsync(NpgsqlConnection connection, int deleted)
    {
        var times = new List<TimeSpan>();
        for (var i = 0; i < 5; i++)
        {
            var started = Stopwatch.GetTimestamp();
            Assert.Equal(deleted, await PostgresRecords.SweepAsync(connection, 1024));
            times.Add(Stopwatch.GetElapsedTime(started));
        }

        return times.Order().ElementAt(2);
    }

    private static async Task<string> ReadAsync(PostgresServer database, string sql)
    {
        await using var connection = await OpenAsync(database);
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants of this file and of the product
        command.CommandText = sql;
#pragma warning restore CA2100
        await using var rows = await command.ExecuteReaderAsync();
        var lines = new List<string>();
        do
        {
            while (await rows.ReadAsync())
            {
                lines.Add($"{rows.GetValue(0)}");
            }
        }
        while (await rows.NextResultAsync());
        return string.Join('\n', lines);
    }

    private static async Task<NpgsqlConnection> OpenAsync(PostgresServer database, string more = "")
    {
        var connection = new NpgsqlConnection($"{database.ConnectionString};Pooling=false;{more}");
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>What of a gateway sweeps.</summary>
    private sealed class Sweeper : IAsyncDisposable
    {
        private readonly PostgresConnections _connections;
        private readonly PostgresListener _listener;
        private readonly PostgresSweep _sweep;

        private Sweeper(string connectionString, TimeSpan interval, FakeLogger<PostgresStore> log)
        {
            var settings = new StoreSettings { Kind = StoreKind.Postgres, Postgres = new() { ConnectionString = connectionString } };
            _connections = new PostgresConnections(settings, () => Task.FromResult(0), TimeProvider.System, log);
            _listener = new PostgresListener(_connections, settings.Timeout, TimeProvider.System);
            _sweep = new PostgresSweep(_connections, _listener, interval, TimeProvider.System);
        }

        public static async Task<Sweeper> StartAsync(string connectionString, TimeSpan interval, FakeLogger<PostgresStore>? log = null)
        {
            var sweeper = new Sweeper(connectionString, interval, log ?? new());
            await sweeper._listener.StartAsync();
            return sweeper;
        }

        public async ValueTask DisposeAsync()
        {
            await _sweep.DisposeAsync();
            await _listener.DisposeAsync();
            await _connections.DisposeAsync();
        }
    }
}
