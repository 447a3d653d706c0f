using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Tests.Storage;

/// <summary>Opens a Redis store that is connected.</summary>
internal static class RedisStores
{
    /// <summary>For tests in which no server is replaced: a machine that stalls for seconds is no reason to doubt the server.</summary>
    public static Task<IIdempotencyStore> OpenPatientAsync(RedisStoreSettings redis, TimeProvider clock) => OpenAsync(redis, timeout: Bounds.Wait, lookTimeout: Bounds.Wait, clock: clock);

    public static Task<IIdempotencyStore> OpenAsync(string configuration, ILogger<RedisStore>? logger = null) =>
        OpenAsync(new RedisStoreSettings { Configuration = configuration }, logger);

    public static async Task<IIdempotencyStore> OpenAsync(
        RedisStoreSettings redis, ILogger<RedisStore>? logger = null, TimeSpan? timeout = null, TimeSpan? lookTimeout = null, TimeProvider? clock = null)
    {
        var settings = new StoreSettings { Kind = StoreKind.Redis, Timeout = timeout ?? TimeSpan.FromSeconds(5), Redis = redis };
        var store = new RedisStore(settings, clock ?? TimeProvider.System, logger ?? NullLogger<RedisStore>.Instance, lookTimeout);
        var reason = "";
        try
        {
            await Eventually.TrueAsync(async () => (reason = await ObstacleAsync(store)).Length == 0, "connected");
            return store;
        }
        catch (Exception e)
        {
            await store.DisposeAsync();
            throw new InvalidOperationException($"The store did not answer: {reason}", e);
        }
    }

    public static async Task<bool> AnswersAsync(IIdempotencyStore store) => (await ObstacleAsync(store)).Length == 0;

    private static async Task<string> ObstacleAsync(IIdempotencyStore store)
    {
        try
        {
            await store.PingAsync(default);
            return "";
        }
        catch (StoreUnavailableException e)
        {
            return e.Message;
        }
    }
}
