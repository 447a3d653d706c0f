using System.Diagnostics;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Logging.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What a store says that is not let in: to its caller, which is what readiness shows, and in the log.</summary>
internal static class RedisDoor
{
    private static readonly TimeSpan InTime = TimeSpan.FromSeconds(3);

    /// <summary>The reason is named in time in both places, and nothing that is logged, at Debug or above, has one of the secrets in it.</summary>
    public static async Task AssertRefusedAsync(RedisStoreSettings redis, string reason, params string[] secrets)
    {
        var log = new FakeLogger<RedisStore>();
        var watch = Stopwatch.StartNew();
        await using var store = new RedisStore(new StoreSettings { Kind = StoreKind.Redis, Redis = redis }, TimeProvider.System, log);

        var said = "";
        while (!said.Contains(reason, StringComparison.Ordinal) && watch.Elapsed < InTime)
        {
            said = (await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.PingAsync(default))).ToString();
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }

        Assert.True(said.Contains(reason, StringComparison.Ordinal), $"{reason} not in {InTime}, but: {string.Join(" / ", log.Collector.GetSnapshot().Where(line => line.Id == 2000).Select(line => $"{line.Message} {line.Exception}"))} / {said}");
        Assert.Contains(log.Collector.GetSnapshot(), line => line.Id == 2000 && $"{line.Message} {line.Exception}".Contains(reason, StringComparison.Ordinal));
        string[] shown = [said, store.Description, .. log.Collector.GetSnapshot().Select(line => $"{line.Message} {line.Exception}")];
        Assert.All(secrets, secret => Assert.DoesNotContain(shown, line => line.Contains(secret, StringComparison.Ordinal)));
    }

    /// <summary>The store serves: one claim, and its duplicate.</summary>
    public static async Task AssertServesAsync(RedisStoreSettings redis)
    {
        await using var store = await RedisStores.OpenAsync(redis);
        var claim = StoreContractTests.NewClaim();

        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(claim, default)).State);
        Assert.Equal(WriteResult.Done, await store.SettleAsync(claim, new byte[] { 1 }, default));
    }
}
