using System.Collections.Concurrent;
using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Logging.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

[OnRedis(ownServer: false)]
[Collection(RedisCollection.Name)]
public sealed class RedisStoreTests(RedisServer server) : StoreContractTests
{
    protected override int HistoryCount => 150;

    [RedisFact]
    public async Task EveryRecord_Expires()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);

        await AssertExpiresAsync(claim);
        await Store.SettleAsync(claim, new byte[] { 1 }, default);
        await AssertExpiresAsync(claim);
        var lost = NewClaim();
        await Store.RenewAsync([lost], default);
        await AssertExpiresAsync(lost);
    }

    [RedisFact]
    public async Task ScriptFlush_IsNotNoticed()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);
        await server.CommandAsync("SCRIPT", "FLUSH");

        Assert.Equal(ClaimState.InProgress, (await Store.ClaimAsync(Duplicate(claim), default)).State);
    }

    [RedisFact]
    public async Task ARecordThatIsNotOurs_FailsClosed()
    {
        var claim = NewClaim();
        await server.CommandAsync("HSET", KeyOf(claim), "s", "c", "t", "x", "f", "short", "l", "99999999999999");

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await Store.ClaimAsync(claim, default));
    }

    [RedisFact]
    public async Task AKeyOfAnotherType_FailsClosed()
    {
        var claim = NewClaim();
        await server.CommandAsync("SET", KeyOf(claim), "x");

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await Store.ClaimAsync(claim, default));
    }

    [RedisFact]
    public async Task AnotherInstance_HearsChangesAndDeletions()
    {
        await using var other = await OpenAsync(TimeProvider.System);
        var heard = new ConcurrentQueue<(string What, RecordId Id)>();
        other.Changed += id => heard.Enqueue(("changed", id));
        other.Forgotten += id => heard.Enqueue(("forgotten", id));
        var (claim, unknown) = (NewClaim(), NewClaim());
        await Store.ClaimAsync(claim, default);
        await other.ClaimAsync(unknown, default); // in use, which is when it begins to hear of deletions
        await other.WatchAsync(claim.Id, default);

        await Store.SettleAsync(claim, new byte[] { 1 }, default);
        await Eventually.TrueAsync(() => heard.Contains(("changed", claim.Id)), "the change is heard");
        await Store.ForgetAsync(claim.Id, default);

        await Eventually.TrueAsync(() => heard.Contains(("forgotten", claim.Id)), "the deletion is heard");
        Assert.Equal(2, heard.Count);
    }

    [RedisFact(ownServer: true)]
    public async Task Changes_AreHeard_AfterTheLinkWasReplaced()
    {
        await using var own = await RedisServer.StartOwnAsync();
        var log = new FakeLogger<RedisStore>();
        await using var store = await RedisStores.OpenAsync(new RedisStoreSettings { Configuration = own.Configuration }, log, TimeSpan.FromSeconds(1));
        var heard = new ConcurrentQueue<RecordId>();
        store.Changed += heard.Enqueue;
        var (first, second) = (NewClaim(), NewClaim());
        await store.ClaimAsync(first, default);
        await store.ClaimAsync(second, default);
        await store.WatchAsync(first.Id, default);
        await own.PauseAsync();
        await Eventually.TrueAsync(() => log.Collector.GetSnapshot().Any(record => record.Id.Id == 2030 && record.Message.Contains("Dead socket", StringComparison.OrdinalIgnoreCase)), "the client gives the link up");
        await own.ResumeAsync();

        await Eventually.TrueAsync(() => AnswersAsync(store, second.Id), "the store answers again");
        await store.SettleAsync(second, new byte[] { 1 }, default);
        await store.SettleAsync(first, new byte[] { 1 }, default);

        await Eventually.TrueAsync(() => heard.Contains(first.Id) && heard.Contains(second.Id), "both changes are heard");
    }

    [RedisFact]
    public async Task APlainClaim_CarriesNothingForRecovery()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);
        await Store.SettleAsync(claim, new byte[] { 1 }, default);

        Assert.Equal("5", await server.CommandAsync("HLEN", KeyOf(claim)));
    }

    [RedisFact]
    public async Task ADamagedRecord_IsNotUncertain_AndDoesNotEndTheWalk()
    {
        var (damaged, timeless, uncertain) = (NewClaim(), NewClaim(), NewClaim());
        await server.CommandAsync("SET", KeyOf(damaged), "x");
        await server.CommandAsync("HSET", KeyOf(timeless), "s", "u", "l", "9223372036854775807");
        await Store.ClaimAsync(uncertain, default);
        await Store.MarkUncertainAsync(uncertain, default);

        var found = await WalkAsync();

        Assert.Contains(uncertain.Id, found.Keys);
        Assert.DoesNotContain(damaged.Id, found.Keys);
        Assert.DoesNotContain(timeless.Id, found.Keys);
    }

    [RedisFact]
    public async Task TheListOfABucket_ForgetsRecordsThatAreGone_AndExpires()
    {
        var claim = NewClaim() with { Probe = new byte[] { 1 } };
        var list = string.Create(CultureInfo.InvariantCulture, $"idem:{{b{claim.Id.Bucket:d4}}}:open");
        await Store.ClaimAsync(claim, default);
        await Store.MarkUncertainAsync(claim, default);
        Assert.Equal("0", await server.CommandAsync("ZSCORE", list, claim.Id.ToString()));
        Assert.NotEqual("-1", await server.CommandAsync("PTTL", list));

        await server.CommandAsync("DEL", KeyOf(claim));

        await Eventually.TrueAsync(
            async () =>
            {
                await Store.FindUncertainAsync(100, default);
                return await server.CommandAsync("ZSCORE", list, claim.Id.ToString()) == "(nil)";
            },
            "what is gone leaves the list");
    }

    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => RedisStores.OpenPatientAsync(new() { Configuration = server.Configuration }, clock);

    private static async Task<bool> AnswersAsync(IIdempotencyStore store, RecordId id)
    {
        try
        {
            return await store.WatchAsync(id, default) is not null;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    private async Task AssertExpiresAsync(ClaimRequest claim)
    {
        var reply = await server.CommandAsync("PTTL", KeyOf(claim));
        Assert.InRange(long.Parse(reply.TrimStart(':'), CultureInfo.InvariantCulture), 86_000_000, 86_400_000);
    }

    private static string KeyOf(ClaimRequest claim) => string.Create(CultureInfo.InvariantCulture, $"idem:{{b{claim.Id.Bucket:d4}}}:{claim.Id}");
}
