using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Npgsql;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>The server, the link to it, or one of its processes fails in the middle of a call.</summary>
public sealed class PostgresFaultTests(PostgresServer server) : IClassFixture<PostgresServer>
{
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(2);

    /// <summary>A call that is not answered ends soon after its timeout, on a busy machine too.</summary>
    private static readonly TimeSpan InTime = TimeSpan.FromSeconds(6);

    /// <summary>What an owner does with its claim, and what it is told when the server did it and the reply never came.</summary>
    private static readonly Dictionary<string, Func<IIdempotencyStore, ClaimRequest, Task<string>>> Calls = new()
    {
        ["claim"] = async (store, claim) => $"{(await store.ClaimAsync(claim, default)).State}",
        ["settle"] = async (store, claim) => $"{await store.SettleAsync(claim, new byte[] { 1 }, default)}",
        ["uncertain"] = async (store, claim) => $"{await store.MarkUncertainAsync(claim, default)}",
        ["release"] = async (store, claim) => $"{await store.ReleaseAsync(claim, default)}",
        ["renew"] = async (store, claim) => $"{(await store.RenewAsync([claim], default))[0]}",
    };

    [PostgresTheory]
    [InlineData("claim", "Claimed", "claimed")]
    [InlineData("settle", "Done", "settled")]
    [InlineData("uncertain", "Done", "uncertain")]
    [InlineData("release", "Gone", null)]
    [InlineData("renew", "Done", "claimed")]
    public async Task ACallWhoseAcknowledgementIsLost_EndsAsIfItHadCome(string call, string result, string? state)
    {
        await using var link = TcpProxy.Start(server.Endpoint);
        await using var store = PostgresStores.Open(server.ConnectionStringVia(link.Endpoint));
        var claim = StoreContractTests.NewClaim();
        await store.ClaimAsync(call == "claim" ? StoreContractTests.NewClaim() : claim, default);
        var before = await ReadVersionAsync(claim);

        link.BlackHole(TcpDirections.ToClient);
        var calling = Calls[call](store, claim);
        await Eventually.TrueAsync(async () => await ReadVersionAsync(claim) != before, "the server has done it");
        link.Cut();
        link.Heal();

        Assert.Equal(result, await calling);
        Assert.Equal(state is null ? null : $"{state} {Hex(claim.Token)} 1", await ReadAsync(claim));
    }

    /// <summary>
    /// A busy server takes longer to make a connection than a call may take. What was begun is not thrown away, or each call begins anew and none
    /// ever has one.
    /// </summary>
    [PostgresFact(ownServer: true)]
    public async Task AServerThatIsSlowToConnect_IsConnectedTo_ByCallsThatGiveUpSooner()
    {
        await using var slow = new PostgresProcess("pre_auth_delay=2");
        await slow.StartAsync();
        await using var store = PostgresStores.Open(slow.ConnectionString, timeout: TimeSpan.FromSeconds(1));

        var serving = Enumerable.Range(0, 30).Select(_ => PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default)));

        Assert.All(await Task.WhenAll(serving), found => Assert.Equal(ClaimState.Claimed, found.State));
    }

    /// <summary>The same under a load that goes on, and after an outage: the server has to make few connections, and those who gave up begin none.</summary>
    [PostgresFact(ownServer: true)]
    public async Task AServerThatIsSlowToConnect_ServesALoadThatGoesOn_WithFewConnections()
    {
        await using var slow = new PostgresProcess("pre_auth_delay=2", "log_connections=on");
        await slow.StartAsync();
        await using var link = TcpProxy.Start(slow.Endpoint);
        await using var store = PostgresStores.Open($"{slow.ConnectionStringVia(link.Endpoint)};Maximum Pool Size=5", timeout: TimeSpan.FromSeconds(1));
        int Connections() => slow.Output.Count(line => line.Contains("connection received", StringComparison.Ordinal));
        var before = Connections();
        using var end = new CancellationTokenSource();
        var served = 0;
        async Task LoadAsync()
        {
            while (!end.IsCancellationRequested)
            {
                try
                {
                    await store.ClaimAsync(StoreContractTests.NewClaim(), default);
                    Interlocked.Increment(ref served);
                }
                catch (StoreUnavailableException)
                {
                    // And again at once.
                }
            }
        }

        var load = Enumerable.Range(0, 60).Select(_ => Task.Run(LoadAsync)).ToList();
        await Eventually.TrueAsync(() => Volatile.Read(ref served) > 100, "it serves");
        link.BlackHole(TcpDirections.Both);
        await Task.Delay(TimeSpan.FromSeconds(6));
        link.Cut();
        link.Heal();
        var (servedBefore, healed) = (Volatile.Read(ref served), Connections());
        await Eventually.TrueAsync(() => Volatile.Read(ref served) > servedBefore + 100, "it serves again");
        await end.CancelAsync();
        await Task.WhenAll(load);

        Assert.InRange(healed - before, 1, 40); // the pool's, the listener's one a second and a half, and those of one more pool or two
        Assert.InRange(Connections() - healed, 1, 40);
    }

    /// <summary>A server that lost many claims: each is written again by statements of its own, and new claims must not wait behind all of them.</summary>
    [PostgresFact]
    public async Task ManyRenewalsOfWhatIsGone_LeaveConnectionsForNewClaims()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var store = PostgresStores.Open(database.ConnectionString);
        await store.ClaimAsync(StoreContractTests.NewClaim(), default);
        await using var blocker = new NpgsqlConnection(database.ConnectionString);
        await blocker.OpenAsync();
        await using var transaction = await blocker.BeginTransactionAsync();
        var lost = Enumerable.Range(0, 100).Select(_ => StoreContractTests.NewClaim()).ToList();
        foreach (var claim in lost)
        {
            await InsertAsync(blocker, claim); // whoever writes one of them waits
        }

        var renewing = store.RenewAsync(lost, default).AsTask();
        await Eventually.TrueAsync(async () => await WaitersAsync() >= 8, "renewals wait");
        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(StoreContractTests.NewClaim(), default)).State);
        await Task.Delay(TimeSpan.FromMilliseconds(200));

        Assert.Equal(8, await WaitersAsync());
        await transaction.RollbackAsync();
        Assert.Equal(lost.Select(_ => WriteResult.Recreated), await renewing);

        async Task<int> WaitersAsync() =>
            (int)(long)(await database.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"))!;
    }

    [PostgresFact]
    public async Task ATakeOverWhoseAcknowledgementIsLost_IsRecognised_AndCountedOnce()
    {
        await using var link = TcpProxy.Start(server.Endpoint);
        await using var store = PostgresStores.Open(server.ConnectionStringVia(link.Endpoint));
        var first = StoreContractTests.NewClaim();
        await store.ClaimAsync(first, default);
        await store.MarkUncertainAsync(first, default);
        await store.WatchAsync(first.Id, default); // it listens now, so that the next that is held back is the claim's
        var second = StoreContractTests.Duplicate(first) with { TakeOver = 1 };

        link.BlackHole(TcpDirections.ToClient);
        var taking = store.ClaimAsync(second, default).AsTask();
        await link.Held.WaitForAsync(direction => direction == TcpDirections.ToClient);
        link.Heal(); // it reads the row; what it then writes is not acknowledged
        link.BlackHole(TcpDirections.ToClient);
        await Eventually.TrueAsync(async () => (await ReadAsync(first))!.Contains(Hex(second.Token), StringComparison.Ordinal), "the server has done it");
        link.Cut();
        link.Heal();

        var taken = await taking;
        Assert.Equal((ClaimState.Claimed, 2), (taken.State, taken.Attempt));
        Assert.Equal($"claimed {Hex(second.Token)} 2", await ReadAsync(first));
    }

    [PostgresFact]
    public async Task AConnectionThatIsKilledInTheMiddleOfAClaim_IsReplaced_AndTheClaimIsMadeOnce()
    {
        await using var store = PostgresStores.Open(server.ConnectionString);
        var claim = StoreContractTests.NewClaim();
        await store.PingAsync(default);
        await using var blocker = new NpgsqlConnection(server.ConnectionString);
        await blocker.OpenAsync();
        await using var transaction = await blocker.BeginTransactionAsync();
        await InsertAsync(blocker, claim);

        var claiming = store.ClaimAsync(claim, default).AsTask();
        await Eventually.TrueAsync(async () => await server.TerminateConnectionsAsync("wait_event_type = 'Lock'") > 0, "the claim waited and was killed");
        await transaction.RollbackAsync();

        Assert.Equal(ClaimState.Claimed, (await claiming).State);
        Assert.Equal($"claimed {Hex(claim.Token)} 1", await ReadAsync(claim));
    }

    [PostgresFact]
    public async Task AllConnectionsKilled_BetweenCalls_IsNotNoticed()
    {
        await using var store = PostgresStores.Open(server.ConnectionString);
        var claims = Enumerable.Range(0, 20).Select(_ => StoreContractTests.NewClaim()).ToList();
        await Task.WhenAll(claims.Select(claim => store.ClaimAsync(claim, default).AsTask()));

        Assert.InRange(await server.TerminateConnectionsAsync(), 2, 1000);

        Assert.All(
            await Task.WhenAll(claims.Select(claim => store.ClaimAsync(StoreContractTests.Duplicate(claim), default).AsTask())),
            result => Assert.Equal(ClaimState.InProgress, result.State));
    }

    [PostgresFact(ownServer: true)]
    public async Task AServerThatHangs_IsUnavailableInTime_AndWhatItWasSentHasNoEffectLater()
    {
        await using var own = await PostgresServer.StartOwnAsync();
        await using var store = PostgresStores.Open(own.ConnectionString, Short);
        var (held, claims) = (StoreContractTests.NewClaim(), Enumerable.Range(0, 40).Select(_ => StoreContractTests.NewClaim()).ToList());
        await PostgresStores.OnceServedAsync(() => store.WatchAsync(held.Id, default)); // it listens now
        await Task.WhenAll(claims[..5].Append(held).Select(claim => PostgresStores.OnceServedAsync(() => store.ClaimAsync(claim, default))));
        var sessions = await own.QueryAsync($"SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'idempotency-gateway' AND NOT {PostgresStores.IsListener}");

        await own.PauseAsync();
        var watch = Stopwatch.StartNew();
        foreach (var call in claims[5..].Select(claim => store.ClaimAsync(claim, default).AsTask()).Append(store.PingAsync(default).AsTask()).ToList())
        {
            await Assert.ThrowsAsync<StoreUnavailableException>(() => call);
        }

        Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
        await own.ResumeAsync();
        Assert.Equal(WriteResult.Done, await PostgresStores.OnceServedAsync(() => store.SettleAsync(held, new byte[] { 1 }, default)));
        await Eventually.TrueAsync(
            async () => await own.QueryAsync($"SELECT count(*) FROM pg_stat_activity WHERE pid IN ({sessions})") is 0L, "the server has ended what was given up");

        Assert.Equal(6L, await own.QueryAsync("SELECT count(*) FROM idempotency_records"));
    }

    /// <summary>Longer than the listening connection is believed in while it is silent.</summary>
    [PostgresFact(ownServer: true)]
    public async Task Changes_AreHeardAgain_AfterTheServerHung()
    {
        await using var own = await PostgresServer.StartOwnAsync();
        await using var store = PostgresStores.Open(own.ConnectionString, Short);
        var heard = new ConcurrentQueue<RecordId>();
        store.Changed += heard.Enqueue;
        await PostgresStores.OnceServedAsync(() => store.WatchAsync(StoreContractTests.NewClaim().Id, default));

        await own.PauseAsync();
        await Task.Delay(TimeSpan.FromSeconds(8));
        await own.ResumeAsync();

        // Again and again: what is announced before the new connection listens is missed, and nothing tells when it does.
        await Eventually.TrueAsync(
            async () =>
            {
                var claim = StoreContractTests.NewClaim();
                await PostgresStores.OnceServedAsync(() => store.ClaimAsync(claim, default));
                await PostgresStores.OnceServedAsync(() => store.WatchAsync(claim.Id, default));
                await PostgresStores.OnceServedAsync(() => store.SettleAsync(claim, new byte[] { 1 }, default));
                await Task.Delay(200);
                return heard.Contains(claim.Id);
            },
            "changes are heard");
    }

    /// <summary>Where less than a millisecond is left of the second, Npgsql would be told to wait without end, and nobody would look again.</summary>
    [PostgresFact]
    public async Task TheServerIsLookedAtEachSecond_AlsoWhereAWaitEndsALittleEarly()
    {
        await using var store = PostgresStores.Open(server.ConnectionString, Short, time: new SteppingTime());
        await PostgresStores.OnceServedAsync(() => store.WatchAsync(StoreContractTests.NewClaim().Id, default));
        var looked = new HashSet<string>();

        // Of this database only: other tests' connections come and go on the same server.
        await Eventually.TrueAsync(
            async () =>
            {
                var looks = await server.QueryAsync(
                    $"SELECT string_agg(pid || ' ' || query_start, ',') FROM pg_stat_activity WHERE datname = current_database() AND {PostgresStores.IsListener}");
                looked.UnionWith((looks as string ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries));
                return looked.GroupBy(look => look.Split(' ')[0]).Any(ofOne => ofOne.Count() > 3);
            },
            "it looks again and again");
    }

    [PostgresFact]
    public async Task APoolThatIsExhausted_RefusesInTime_AndServesAgain()
    {
        await using var store = PostgresStores.Open($"{server.ConnectionString};Maximum Pool Size=3", Short);
        var blocked = Enumerable.Range(0, 3).Select(_ => StoreContractTests.NewClaim()).ToList();
        await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default));
        await using var blocker = new NpgsqlConnection(server.ConnectionString);
        await blocker.OpenAsync();
        await using (await blocker.BeginTransactionAsync())
        {
            foreach (var claim in blocked)
            {
                await InsertAsync(blocker, claim);
            }

            var watch = Stopwatch.StartNew();
            foreach (var call in blocked.Concat(Enumerable.Range(0, 30).Select(_ => StoreContractTests.NewClaim())).Select(claim => store.ClaimAsync(claim, default).AsTask()).ToList())
            {
                await Assert.ThrowsAsync<StoreUnavailableException>(() => call);
            }

            Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
            await Eventually.TrueAsync(
                async () => await server.QueryAsync("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") is 0L,
                "the server has ended what was given up");
        }

        Assert.Equal(ClaimState.Claimed, (await PostgresStores.OnceServedAsync(() => store.ClaimAsync(StoreContractTests.NewClaim(), default))).State);
        Assert.All(await Task.WhenAll(blocked.Select(ReadAsync)), Assert.Null);
    }

    private static string Hex(ClaimToken token) => token.Value.ToString("N", CultureInfo.InvariantCulture);

    /// <summary>Without a commit, so that a claim of the same key waits for it.</summary>
    private static async Task InsertAsync(NpgsqlConnection connection, ClaimRequest claim)
    {
        await using var insert = new NpgsqlCommand(
            """
            INSERT INTO idempotency_records (id, state, token, fingerprint, lease_until, expires_at)
            VALUES ($1, 'claimed', gen_random_uuid(), '\x01' || sha256('x'), now() + interval '1 minute', now() + interval '1 day')
            """,
            connection);
        insert.Parameters.Add(new() { Value = claim.Id.Digest.ToArray() });
        await insert.ExecuteNonQueryAsync();
    }

    /// <summary>State, token and attempt of what is on record; a row that is over is not.</summary>
    private async Task<string?> ReadAsync(ClaimRequest claim) => await server.QueryAsync(
        $"SELECT concat_ws(' ', state, replace(token::text, '-', ''), attempt) FROM idempotency_records WHERE id = '\\x{claim.Id}' AND expires_at > now()") as string;

    /// <summary>Another one after every write.</summary>
    private async Task<long?> ReadVersionAsync(ClaimRequest claim) =>
        await server.QueryAsync($"SELECT version FROM idempotency_records WHERE id = '\\x{claim.Id}'") as long?;

    /// <summary>A clock that shows the same for 999.6 ms, so that after a wait of a second 0.4 ms seem to be left.</summary>
    private sealed class SteppingTime : TimeProvider
    {
        private const long Step = TimeSpan.TicksPerMicrosecond * 999_600;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Stopwatch.GetElapsedTime(0).Ticks / Step * Step;
    }
}
