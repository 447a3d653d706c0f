using System.Collections.Concurrent;
using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Xunit;
using static Idempotency.Storage.Testing.StoreContractTests;

namespace Gateway.Tests.Storage;

/// <summary><c>Store:Redis:Acknowledge</c>: what counts is on a replica, whatever becomes of the primary the moment after.</summary>
public sealed class RedisReplicaTests
{
    /// <summary>How far the replica is behind.</summary>
    private static readonly TimeSpan Lag = TimeSpan.FromMilliseconds(20);

    /// <summary>Each costs two servers. The long form is <c>ACKNOWLEDGED_CLAIMS=200</c>.</summary>
    private static readonly int Claims = int.Parse(Environment.GetEnvironmentVariable("ACKNOWLEDGED_CLAIMS") ?? "12", CultureInfo.InvariantCulture);

    [RedisFact(ownServer: true)]
    public async Task APrimaryThatIsKilled_RightAfterAnAcknowledgedClaim_LosesNone() => Assert.Empty(await KillAfterClaimsAsync(RedisAcknowledge.Replica));

    /// <summary>That the test above can fail.</summary>
    [RedisFact(ownServer: true)]
    public async Task WithoutTheReplicasWord_TheSameLosesSome() => Assert.NotEmpty(await KillAfterClaimsAsync(RedisAcknowledge.Primary));

    [RedisFact(ownServer: true)]
    public async Task AnAnswer_CountsWhenAReplicaHasIt()
    {
        await using var pair = await LaggingPair.StartAsync();
        await using var store = await pair.OpenAsync(RedisAcknowledge.Replica);
        var claim = NewClaim();
        await store.ClaimAsync(claim, default);

        Assert.Equal(WriteResult.Done, await store.SettleAsync(claim, new byte[] { 1 }, default));
        await pair.Primary.StopAsync();

        Assert.Equal("a", await pair.Replica.CommandAsync("HGET", KeyOf(claim), "s"));
    }

    [RedisFact(ownServer: true)]
    public async Task WithoutAReplica_NothingCounts_AndNothingIsBlocked()
    {
        await using var pair = await LaggingPair.StartAsync();
        await using var store = await pair.OpenAsync(RedisAcknowledge.Replica, TimeSpan.FromSeconds(1));
        var (before, during) = (NewClaim(), NewClaim());
        await store.ClaimAsync(before, default);
        pair.Link.BlackHole();

        var refused = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(during, default));
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.SettleAsync(before, new byte[] { 1 }, default));
        Assert.True(refused.MayHaveTakenEffect); // so that its caller releases it
        pair.Link.Heal();

        await Eventually.TrueAsync(async () => await IsAcknowledgedAsync(() => store.SettleAsync(before, new byte[] { 1 }, default)), "the answer counts");
        Assert.Equal(WriteResult.Done, await store.ReleaseAsync(during, default));
        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(NewClaim(), default)).State);
    }

    [RedisFact(ownServer: true)]
    public async Task ManyAtATime_ShareTheWaits()
    {
        await using var pair = await LaggingPair.StartAsync();
        await using var store = await pair.OpenAsync(RedisAcknowledge.Replica);
        await pair.Primary.CommandAsync("CONFIG", "RESETSTAT");

        var results = await Task.WhenAll(Enumerable.Range(0, 500).Select(_ => store.ClaimAsync(NewClaim(), default).AsTask()));

        Assert.All(results, result => Assert.Equal(ClaimState.Claimed, result.State));
        var calls = (await pair.Primary.CommandAsync("INFO", "commandstats")).Split('\n').Single(line => line.StartsWith("cmdstat_wait:", StringComparison.Ordinal));
        Assert.InRange(int.Parse(calls.Split('=', ',')[1], CultureInfo.InvariantCulture), 1, 50);
    }

    [Fact]
    public async Task WhoComesDuringARound_WaitsForTheNext()
    {
        var rounds = new RedisRounds();
        var begun = new ConcurrentQueue<TaskCompletionSource<bool>>();
        Task<bool> Round()
        {
            var round = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            begun.Enqueue(round);
            return round.Task;
        }

        var first = rounds.JoinAsync(Round);
        await Eventually.TrueAsync(() => begun.Count == 1, "the first round");
        var (second, third) = (rounds.JoinAsync(Round), rounds.JoinAsync(Round));
        begun.Single().SetResult(true);

        Assert.True(await first);
        await Eventually.TrueAsync(() => begun.Count == 2, "one more for both");
        Assert.False(second.IsCompleted || third.IsCompleted);
        begun.Last().SetResult(false);
        Assert.False(await second || await third);
        Assert.Equal(2, begun.Count);
    }

    /// <returns>The claims that were acknowledged, and are not on the replica.</returns>
    private static async Task<IReadOnlyCollection<ClaimRequest>> KillAfterClaimsAsync(RedisAcknowledge acknowledge)
    {
        var lost = new ConcurrentBag<ClaimRequest>();
        await Parallel.ForAsync(0, Claims, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (_, _) =>
        {
            await using var pair = await LaggingPair.StartAsync();
            await using var store = await pair.OpenAsync(acknowledge);
            var claim = NewClaim();
            Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);

            await pair.Primary.StopAsync();
            pair.Link.Cut();
            await pair.Replica.CommandAsync("REPLICAOF", "NO", "ONE");
            if (await pair.Replica.CommandAsync("EXISTS", KeyOf(claim)) == "0")
            {
                lost.Add(claim);
            }
        });
        return lost;
    }

    private static string KeyOf(ClaimRequest claim) => string.Create(CultureInfo.InvariantCulture, $"idem:{{b{claim.Id.Bucket:d4}}}:{claim.Id}");

    private static async Task<bool> IsAcknowledgedAsync(Func<ValueTask<WriteResult>> write)
    {
        try
        {
            return await write() == WriteResult.Done;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    /// <summary>A primary, and a replica that hears of everything a little late.</summary>
    private sealed class LaggingPair(RedisServer primary, RedisServer replica, TcpProxy link) : IAsyncDisposable
    {
        public RedisServer Primary => primary;

        public RedisServer Replica => replica;

        public TcpProxy Link => link;

        public static async Task<LaggingPair> StartAsync()
        {
            var primary = await RedisServer.StartOwnAsync("--repl-diskless-sync-delay", "0");
            var link = TcpProxy.Start(primary.Configuration);
            var replica = await RedisServer.StartOwnAsync(["--replicaof", .. link.Endpoint.Split(':')]);
            var pair = new LaggingPair(primary, replica, link);
            return await Starting.OrDisposedAsync(pair, pair.WaitForLinkAsync);
        }

        public async Task<IIdempotencyStore> OpenAsync(RedisAcknowledge acknowledge, TimeSpan? timeout = null)
        {
            var store = await RedisStores.OpenAsync(new RedisStoreSettings { Configuration = primary.Configuration, Acknowledge = acknowledge }, timeout: timeout);
            link.Delay = Lag;
            return store;
        }

        public async ValueTask DisposeAsync()
        {
            await replica.DisposeAsync();
            await link.DisposeAsync();
            await primary.DisposeAsync();
        }

        private Task WaitForLinkAsync() => Eventually.TrueAsync(
            async () => (await replica.CommandAsync("INFO", "replication")).Contains("master_link_status:up", StringComparison.Ordinal), "the replica follows");
    }
}
