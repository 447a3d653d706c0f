using System.Collections.Concurrent;
using Gateway.Storage;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Storage;

[OnPostgres(ownServer: false)]
public sealed class PostgresStoreTests(PostgresServer server) : StoreContract, IClassFixture<PostgresServer>
{
    /// <summary>The server's clock cannot be moved: short leases are waited for.</summary>
    internal override TimeSpan ShortLease => TimeSpan.FromMilliseconds(250);

    /// <summary>A call takes several round trips, and commits.</summary>
    internal override int Histories => 40;

    [PostgresFact]
    public async Task AnotherInstance_HearsChangesAndDeletions_AlsoAfterItsConnectionWasKilled()
    {
        await using var other = PostgresStores.Open(server.ConnectionString);
        var heard = new ConcurrentQueue<(string What, RecordId Id)>();
        other.Changed += id => heard.Enqueue(("changed", id));
        other.Forgotten += id => heard.Enqueue(("forgotten", id));
        var (before, after) = (NewClaim(), NewClaim());
        await Store.ClaimAsync(before, default);
        await Store.ClaimAsync(after, default);
        await other.WatchAsync(before.Id, default);
        await other.WatchAsync(after.Id, default);

        await Store.SettleAsync(before, new byte[] { 1 }, default);
        await Eventually.TrueAsync(() => heard.Contains(("changed", before.Id)), "the change is heard");
        Assert.Equal(await CountListenersAsync(), await server.TerminateConnectionsAsync(IsListener));
        await Eventually.TrueAsync(async () => await CountListenersAsync() == 2, "both instances listen again");
        await Store.SettleAsync(after, new byte[] { 1 }, default);
        await Store.ForgetAsync(before.Id, default);

        await Eventually.TrueAsync(() => heard.Contains(("changed", after.Id)) && heard.Contains(("forgotten", before.Id)), "changes are heard again");
        Assert.DoesNotContain(("forgotten", after.Id), heard);
    }

    [PostgresFact]
    public async Task Sweep_DeletesWhatIsOver_InMoreThanOneBatch_AndNothingElse()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var store = PostgresStores.Open(database.ConnectionString);
        var kept = NewClaim();
        await store.ClaimAsync(kept, default);
        await database.QueryAsync(
            """
            INSERT INTO idempotency_records (id, state, token, fingerprint, lease_until, expires_at)
            SELECT sha256(n::text::bytea), 'claimed', gen_random_uuid(), '\x01' || sha256('x'), now() - interval '2 minutes', now() - interval '1 minute'
            FROM generate_series(1, 2500) AS n
            """);

        await Eventually.TrueAsync(async () => await database.QueryAsync("SELECT count(*) FROM idempotency_records") is 1L, "the sweep left one row");
        Assert.Equal(ClaimState.InProgress, (await store.WatchAsync(kept.Id, default))?.State);
    }

    internal override Task<IIdempotencyStore> OpenAsync() => Task.FromResult<IIdempotencyStore>(PostgresStores.Open(server.ConnectionString));

    internal override Task AdvanceAsync(TimeSpan by) => Task.Delay(by + TimeSpan.FromMilliseconds(20));

    /// <summary>By what it said last.</summary>
    private const string IsListener = PostgresStores.IsListener;

    private async Task<int> CountListenersAsync() => (int)(long)(await server.QueryAsync(
        $"SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND {IsListener}"))!;
}
