using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>The same contract on a Cluster of three masters: records are spread over all of them.</summary>
[OnRedis]
public sealed class RedisClusterStoreTests(RedisCluster cluster) : StoreContractTests, IClassFixture<RedisCluster>
{
    protected override int HistoryCount => 150;

    [RedisFact(ownServer: true)]
    public async Task Claims_AreSpreadOverTheCluster()
    {
        var claims = Enumerable.Range(0, 300).Select(_ => NewClaim()).ToList();

        var results = await Task.WhenAll(claims.Select(claim => Store.ClaimAsync(claim, default).AsTask()));

        Assert.All(results, result => Assert.Equal(ClaimState.Claimed, result.State));
        Assert.All(await Store.RenewAsync(claims, default), result => Assert.Equal(WriteResult.Done, result));
    }

    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => RedisStores.OpenPatientAsync(new() { Configuration = cluster.Configuration }, clock);
}
