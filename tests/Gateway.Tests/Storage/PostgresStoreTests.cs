using System.Collections.Concurrent;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

[OnPostgres(ownServer: false)]
public sealed class PostgresStoreTests(PostgresServer server) : StoreContractTests, IClassFixture<PostgresServer>
{
    [PostgresFact]
    public async Task AnotherInstance_HearsChangesAndDeletions_AlsoAfterItsConnectionWasKilled()
    {
        await using var other = PostgresStores.Open(server.ConnectionString);
        var heard = new ConcurrentQueue<(string What, RecordId Id)>();
        other.Changed += id => heard.Enqueue(("changed", id));
        other.Forgotten += id => heard.Enqueue(("forgotten", id));
        var first = await ClaimAndWatchAsync();

        await Store.SettleAsync(first, new byte[] { 1 }, default);
        await Eventually.TrueAsync(() => heard.Contains(("changed", first.Id)), "the change is heard");
        Assert.InRange(await server.TerminateConnectionsAsync(PostgresStores.IsListener), 2, int.MaxValue);

        // Again and again: what is announced before the new connection listens is missed, and nothing tells when it does.
        var changed = new List<RecordId>();
        await Eventually.TrueAsync(
            async () =>
            {
                var (kept, forgotten) = (await ClaimAndWatchAsync(), await ClaimAndWatchAsync());
                changed.Add(kept.Id);
                await PostgresStores.OnceServedAsync(() => Store.SettleAsync(kept, new byte[] { 1 }, default));
                await PostgresStores.OnceServedAsync(() => Store.SettleAsync(forgotten, new byte[] { 1 }, default));
                await PostgresStores.OnceServedAsync(() => Store.ForgetAsync(forgotten.Id, default));
                await Task.Delay(200);
                return heard.Contains(("changed", kept.Id)) && heard.Contains(("forgotten", forgotten.Id));
            },
            "changes and deletions are heard again");
        Assert.DoesNotContain(heard, entry => entry.What == "forgotten" && changed.Contains(entry.Id));

        async Task<ClaimRequest> ClaimAndWatchAsync()
        {
            var claim = NewClaim();
            await PostgresStores.OnceServedAsync(() => Store.ClaimAsync(claim, default));
            await PostgresStores.OnceServedAsync(() => other.WatchAsync(claim.Id, default));
            return claim;
        }
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

    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => Task.FromResult<IIdempotencyStore>(PostgresStores.Open(server.ConnectionString, time: clock));
}
