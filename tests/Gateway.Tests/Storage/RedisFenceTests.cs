using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;
using static Idempotency.Storage.Testing.StoreContractTests;

namespace Gateway.Tests.Storage;

/// <summary>
/// A server that may have lost what it acknowledged takes no claim before that was put back, whatever the client has noticed, and no other
/// server is held up by it. The witness is the store itself: a claim of a key that was claimed before must not be had again.
/// </summary>
public sealed class RedisFenceTests
{
    private const int Spread = 90;

    /// <summary>More than twice what is put back at a time.</summary>
    private const int Many = 600;

    /// <summary>As after a restart so fast that no handler of a lost connection has run.</summary>
    [RedisFact(ownServer: true)]
    public async Task AnEmptyServer_BehindTheSameConnection_TakesNoClaim()
    {
        await using var server = await RedisServer.StartOwnAsync();
        await using var other = await RedisServer.StartOwnAsync();
        await using var link = ReplyProxy.Start(server.Configuration);
        await using var store = await RedisStores.OpenAsync(link.Endpoint);
        var first = await ClaimAsync(store);

        link.SwitchTo(other.Configuration);

        await AssertKnownAsync(store, first);
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimThatIsReleased_WhileTheJournalIsPutBack_StaysReleased()
    {
        await using var server = await RedisServer.StartOwnAsync();
        await using var link = ReplyProxy.Start(server.Configuration);
        await using var store = await RedisStores.OpenAsync(link.Endpoint);
        var claims = new List<ClaimRequest>();
        for (var i = 0; i < Many; i++)
        {
            claims.Add(await ClaimAsync(store));
        }

        using var isUnderWay = new ManualResetEventSlim();
        using var goesOn = new ManualResetEventSlim();
        var recreated = 0;
        link.Deliver = reply =>
        {
            recreated += reply.Contains("\r\nrecreated\r\n", StringComparison.Ordinal) ? 1 : 0;
            if (recreated == Many && reply.Contains("\r\ndone\r\n", StringComparison.Ordinal) && !isUnderWay.IsSet)
            {
                // The second time, after which nobody looks again.
                isUnderWay.Set();
                goesOn.Wait(Bounds.Wait);
            }

            return [reply];
        };
        await server.FlushAllAsync();
        await Eventually.TrueAsync(() => isUnderWay.IsSet, "the first are put back again");
        var released = store.ReleaseAsync(claims[^1], default).AsTask();
        await Eventually.TrueAsync(async () => (await server.CommandAsync("INFO", "commandstats")).Contains("cmdstat_evalsha", StringComparison.Ordinal), "sent");
        goesOn.Set();
        await released;

        await Eventually.TrueAsync(async () => await IsAsync(store, claims[0] with { Token = ClaimToken.Create() }, ClaimState.InProgress), "the others are on record");
        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(Duplicate(claims[^1]), default)).State);
    }

    /// <summary>A server that is away holds nothing that could be counted, and its next run is walked through from the beginning.</summary>
    [RedisFact(ownServer: true)]
    public async Task AWalk_FailsWhileTheServerIsAway_AndBeginsAnewOnItsNextRun()
    {
        await using var server = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        await using var store = await RedisStores.OpenAsync(server.Configuration);
        for (var i = 0; i < Many; i++)
        {
            await store.MarkUncertainAsync(await ClaimAsync(store), default);
        }

        Assert.True((await store.WalkUncertainAsync(10, default)).IsFirst);
        Assert.False((await store.WalkUncertainAsync(10, default)).IsFirst);
        await server.StopAsync();
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.WalkUncertainAsync(10, default));

        await server.StartAsync();
        await Eventually.TrueAsync(() => RedisStores.AnswersAsync(store), "it is back");
        var found = new HashSet<RecordId>();
        var isFirst = true;
        for (var part = default(UncertainPart); !part.IsLast; isFirst = false)
        {
            part = await store.WalkUncertainAsync(10, default);
            Assert.Equal(isFirst, part.IsFirst);
            found.UnionWith(part.Found.Select(mark => mark.Id));
        }

        Assert.Equal(Many, found.Count);
    }

    /// <summary>The replica has everything up to the moment at which it was cut off, its scripts included on servers before Redis 7.</summary>
    [RedisFact(ownServer: true)]
    public async Task AnAddress_ThatMovesWithoutAWord_TakesNoClaim()
    {
        await using var pair = await RedisPair.StartAsync();
        await using var link = ReplyProxy.Start(pair.One.Configuration);
        await using var store = await RedisStores.OpenAsync(link.Endpoint);
        await RedisPair.CutOffAsync(pair.Other, from: pair.One);
        var lost = await ClaimAsync(store);

        await pair.Other.CommandAsync("REPLICAOF", "NO", "ONE");
        link.SwitchTo(pair.Other.Configuration);

        await AssertKnownAsync(store, lost);
    }

    /// <summary>One that is back never heard of the other's epoch: older than what is known is a loss, for whoever looks first.</summary>
    [RedisFact(ownServer: true)]
    public async Task AServerThatTakesOverAgain_WithoutTheOthersWrites_TakesNoClaim_OfAnyGateway()
    {
        await using var pair = await RedisPair.StartAsync();
        await using var link = ReplyProxy.Start(pair.One.Configuration);
        await using var first = await RedisStores.OpenAsync(link.Endpoint);
        await using var second = await RedisStores.OpenAsync(link.Endpoint);
        await ServesAsync(first);
        await RedisPair.CutOffAsync(pair.Other, from: pair.One);
        await pair.Other.CommandAsync("REPLICAOF", "NO", "ONE");
        link.SwitchTo(pair.Other.Configuration);
        await ServesAsync(first);
        await ServesAsync(second);
        var claims = await ClaimManyAsync(second);

        link.SwitchTo(pair.One.Configuration);

        await AssertKnownAsync(first, claims);
    }

    /// <summary>It knows no epoch; the one that it finds belongs to another run.</summary>
    [RedisFact(ownServer: true)]
    public async Task AGatewayThatStarts_AfterAFailover_WaitsForThoseThatWereThere()
    {
        await using var pair = await RedisPair.StartAsync();
        await using var link = ReplyProxy.Start(pair.One.Configuration);
        await using var store = await RedisStores.OpenAsync(link.Endpoint);
        await RedisPair.CutOffAsync(pair.Other, from: pair.One);
        var claims = await ClaimManyAsync(store);
        await pair.Other.CommandAsync("REPLICAOF", "NO", "ONE");

        link.SwitchTo(pair.Other.Configuration);
        await using var newcomer = await RedisStores.OpenAsync(pair.Other.Configuration);

        await AssertKnownAsync(newcomer, claims);
    }

    [RedisFact(ownServer: true)]
    public async Task TwoFailovers_ThereAndBack_WithBothServersNamed_LoseNothing()
    {
        await using var pair = await RedisPair.StartAsync();
        await using var store = await RedisStores.OpenAsync($"{pair.One.Configuration},{pair.Other.Configuration}");
        var kept = await ClaimAsync(store);
        await RedisPair.CutOffAsync(pair.Other, from: pair.One);
        var lostFirst = await ClaimAsync(store);

        await RedisPair.PromoteAsync(pair.Other, inPlaceOf: pair.One);
        await AssertKnownAsync(store, lostFirst);
        await ServesAsync(store); // the old master told what it knew, too
        var lostSecond = await ClaimAsync(store);
        await RedisPair.PromoteAsync(pair.One, inPlaceOf: pair.Other);
        await ServesAsync(store);

        await AssertKnownAsync(store, lostSecond);
        await AssertKnownAsync(store, kept);
        await AssertKnownAsync(store, lostFirst);
    }

    [RedisFact(ownServer: true)]
    public async Task TwoFailovers_ThereAndBack_InACluster_LoseNothing()
    {
        await using var cluster = RedisCluster.WithReplicas();
        await cluster.StartAsync();
        await using var store = await RedisStores.OpenAsync(cluster.Configuration);
        var master = cluster.Nodes[0];
        var replica = await cluster.ReplicaOfAsync(master);
        await CutOffAsync(replica, from: master);
        var lostFirst = await ClaimManyAsync(store);

        await master.CommandAsync("CONFIG", "SET", "masterauth", "nobody"); // it will not hear of the other's writes
        await replica.CommandAsync("CLUSTER", "FAILOVER", "TAKEOVER");
        await AssertKnownAsync(store, lostFirst);
        await ServesAsync(store);
        var lostSecond = await ClaimManyAsync(store);
        await master.CommandAsync("CLUSTER", "FAILOVER", "TAKEOVER");

        await AssertKnownAsync(store, lostSecond);
        await AssertKnownAsync(store, lostFirst);
    }

    [RedisFact(ownServer: true)]
    public async Task EachMasterOfACluster_ThatIsEmptied_TakesNoClaim_AndTheOthersGoOn()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var store = await RedisStores.OpenAsync(cluster.Configuration);
        foreach (var node in cluster.Nodes)
        {
            var claims = await ClaimManyAsync(store);
            var elsewhere = (await RecordsAsync(cluster, except: node)).ToHashSet();

            await node.CommandAsync("FLUSHALL");

            // Those of the other masters are answered at once.
            foreach (var claim in claims.Where(claim => elsewhere.Contains(claim.Id.ToString())))
            {
                Assert.Equal(ClaimState.InProgress, (await store.ClaimAsync(Duplicate(claim), default)).State);
            }

            await AssertKnownAsync(store, claims);
        }
    }

    [RedisFact(ownServer: true)]
    public async Task AMasterOfACluster_ThatIsSilent_HoldsUpItsOwnKeysOnly()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await Task.WhenAll(cluster.Nodes.Select(node => node.CommandAsync("CONFIG", "SET", "cluster-require-full-coverage", "no")));
        await using var store = await RedisStores.OpenAsync(cluster.Configuration);
        var claims = await ClaimManyAsync(store);
        foreach (var node in cluster.Nodes)
        {
            var elsewhere = (await RecordsAsync(cluster, except: node)).ToHashSet();
            var reachable = claims.Where(claim => elsewhere.Contains(claim.Id.ToString())).ToList();
            await node.PauseAsync();
            await Task.Delay(TimeSpan.FromSeconds(2)); // two looks

            await AssertServedAsync(store, reachable);
            await using var newcomer = await RedisStores.OpenAsync(cluster.Configuration);
            await AssertServedAsync(newcomer, reachable);
            Assert.Equal(await store.GetSecretAsync(default), await newcomer.GetSecretAsync(default));

            await node.ResumeAsync();
            await AssertKnownAsync(store, claims);
        }
    }

    /// <summary>Its server is emptied while a newcomer knows nothing: the copies in the buckets of the others do.</summary>
    [RedisFact(ownServer: true)]
    public async Task TheSecret_SurvivesTheLossOfItsMaster()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        byte[] secret;
        await using (var store = await RedisStores.OpenAsync(cluster.Configuration))
        {
            secret = await store.GetSecretAsync(default);
            await Eventually.TrueAsync(async () => await CopiesAsync(cluster) == 1024, "every bucket has a copy");
        }

        foreach (var node in cluster.Nodes)
        {
            if (!(await node.CommandAsync("KEYS", "idem:secret")).Contains("idem:secret", StringComparison.Ordinal))
            {
                continue;
            }

            await node.CommandAsync("FLUSHALL");
            await using var newcomer = await RedisStores.OpenAsync(cluster.Configuration);
            Assert.Equal(secret, await newcomer.GetSecretAsync(default));
            return;
        }

        Assert.Fail("no master has the secret");
    }

    [RedisTheory(ownServer: true)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task WhileASlotMoves_WhatIsOnRecordIsTold_AndEveryOwnerWrites(bool hasProbe)
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();
        await using var store = await RedisStores.OpenAsync(cluster.Configuration);
        var claims = Enumerable.Range(0, 8).Select(_ => InOneBucket(hasProbe)).ToList();
        foreach (var claim in claims)
        {
            Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);
        }

        await using var move = await SlotMove.BeginAsync(cluster, KeyOf(claims[0]));
        foreach (var (claim, i) in claims.Select((claim, i) => (claim, i)))
        {
            // Half of the records are here and half are there; the bucket's other keys go in between.
            if (i == claims.Count / 2)
            {
                await move.MoveAsync([.. (await move.KeysAsync()).Where(key => !key.EndsWith(claims[^1].Id.ToString(), StringComparison.Ordinal))]);
            }

            Assert.Equal(ClaimState.InProgress, (await store.ClaimAsync(Duplicate(claim), default)).State);
            Assert.Equal([WriteResult.Done], await store.RenewAsync([claim], default));
            Assert.Equal(WriteResult.Done, await EndAsync(store, claim, i));
        }

        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(InOneBucket(hasProbe), default)); // absent here means nothing
        await move.FinishAsync();

        await Eventually.TrueAsync(async () => await IsAsync(store, InOneBucket(hasProbe), ClaimState.Claimed), "the bucket takes claims again");
        foreach (var (claim, i) in claims.Select((claim, i) => (claim, i)))
        {
            Assert.Equal(
                (i % 3) switch { 0 => ClaimState.Settled, 1 => ClaimState.Uncertain, _ => ClaimState.Claimed },
                (await store.ClaimAsync(Duplicate(claim), default)).State);
        }
    }

    [RedisFact(ownServer: true)]
    public async Task ThirtyThousandLeasesThatAreDue_LeaveRoomForClaims()
    {
        await using var server = await RedisServer.StartOwnAsync();
        await using var link = TcpProxy.Start(server.Configuration);
        await using var direct = await RedisStores.OpenAsync(server.Configuration);
        await using var store = await RedisStores.OpenAsync(link.Endpoint);
        List<ClaimRequest> due = [.. Enumerable.Range(0, 30_000).Select(_ => NewClaim())];
        foreach (var batch in due.Chunk(2_000))
        {
            await Task.WhenAll(batch.Select(claim => direct.ClaimAsync(claim, default).AsTask()));
        }

        link.Delay = TimeSpan.FromMilliseconds(10); // a server that is some way off
        var renewing = store.RenewAsync(due, default).AsTask();
        while (!renewing.IsCompleted)
        {
            await ClaimAsync(store);
        }

        Assert.All(await renewing, result => Assert.Equal(WriteResult.Done, result));
    }

    private static ValueTask<WriteResult> EndAsync(IIdempotencyStore store, ClaimRequest claim, int i) => (i % 3) switch
    {
        0 => store.SettleAsync(claim, new byte[] { 1 }, default),
        1 => store.MarkUncertainAsync(claim, default),
        _ => store.ReleaseAsync(claim, default),
    };

    private static ClaimRequest InOneBucket(bool hasProbe)
    {
        var claim = NewClaim();
        while (claim.Id.Bucket != 7)
        {
            claim = NewClaim();
        }

        return claim with { Probe = hasProbe ? new byte[] { 1 } : default };
    }

    private static string KeyOf(ClaimRequest claim) => string.Create(CultureInfo.InvariantCulture, $"idem:{{b{claim.Id.Bucket:d4}}}:{claim.Id}");

    private static async Task<ClaimRequest> ClaimAsync(IIdempotencyStore store)
    {
        var claim = NewClaim() with { Lease = TimeSpan.FromMinutes(10) }; // however long a busy machine takes
        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);
        return claim;
    }

    /// <summary>So many that every master of a Cluster has some.</summary>
    private static async Task<IReadOnlyList<ClaimRequest>> ClaimManyAsync(IIdempotencyStore store)
    {
        var claims = new List<ClaimRequest>();
        for (var i = 0; i < Spread; i++)
        {
            claims.Add(await ClaimAsync(store));
        }

        return claims;
    }

    /// <summary>New keys are claimed on every master.</summary>
    private static async Task ServesAsync(IIdempotencyStore store)
    {
        for (var i = 0; i < Spread; i++)
        {
            await Eventually.TrueAsync(async () => await IsAsync(store, NewClaim(), ClaimState.Claimed), "it serves");
        }
    }

    private static Task AssertKnownAsync(IIdempotencyStore store, ClaimRequest claim) => AssertKnownAsync(store, [claim]);

    /// <summary>No claim is had a second time, from this moment until each of them is known again.</summary>
    private static async Task AssertKnownAsync(IIdempotencyStore store, IReadOnlyList<ClaimRequest> claims)
    {
        foreach (var claim in claims)
        {
            await Eventually.TrueAsync(async () => await IsAsync(store, Duplicate(claim), ClaimState.InProgress), "it is on record again");
        }
    }

    private static async Task<bool> IsAsync(IIdempotencyStore store, ClaimRequest claim, ClaimState expected)
    {
        try
        {
            var found = await store.ClaimAsync(claim, default);
            Assert.Equal(expected, found.State);
            return true;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    private static async Task AssertServedAsync(IIdempotencyStore store, IReadOnlyList<ClaimRequest> claims)
    {
        Assert.NotEmpty(claims);
        foreach (var claim in claims)
        {
            Assert.Equal(ClaimState.InProgress, (await store.ClaimAsync(Duplicate(claim), default)).State);
        }
    }

    private static async Task<IEnumerable<string>> RecordsAsync(RedisCluster cluster, RedisProcess except)
    {
        var keys = await Task.WhenAll(cluster.Nodes.Where(node => node != except).Select(node => node.CommandAsync("KEYS", "idem:{b*")));
        return keys.SelectMany(names => names.Split('\n')).Select(name => name.Split(':')[^1]);
    }

    private static async Task<int> CopiesAsync(RedisCluster cluster)
    {
        var count = 0;
        foreach (var node in cluster.Nodes)
        {
            foreach (var key in (await node.CommandAsync("KEYS", "idem:{b*}:marks")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            {
                count += await node.CommandAsync("HEXISTS", key, "s") == "1" ? 1 : 0;
            }
        }

        return count;
    }

    private static async Task CutOffAsync(RedisProcess replica, RedisProcess from)
    {
        // The link that stands would still carry what was written: it is closed, and another is refused.
        await replica.CommandAsync("CONFIG", "SET", "masterauth", "nobody");
        await from.CommandAsync("CLIENT", "KILL", "TYPE", "replica");
        await Eventually.TrueAsync(
            async () => (await replica.CommandAsync("INFO", "replication")).Contains("master_link_status:down", StringComparison.Ordinal), "the replica is cut off");
    }
}
