using Gateway.Storage;
using Gateway.Storage.Redis;
using Gateway.Tests.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Tests.Storage;

/// <summary>Opens a Redis store that is connected.</summary>
internal static class RedisStores
{
    public static async Task<IIdempotencyStore> OpenAsync(string configuration, ILogger<RedisStore>? logger = null)
    {
        var settings = new StoreSettings { Kind = StoreKind.Redis, Timeout = TimeSpan.FromSeconds(5), Redis = new() { Configuration = configuration } };
        var store = new RedisStore(settings, TimeProvider.System, logger ?? NullLogger<RedisStore>.Instance);
        await Eventually.TrueAsync(async () => await AnswersAsync(store), "connected");
        return store;
    }

    private static async Task<bool> AnswersAsync(RedisStore store)
    {
        try
        {
            await store.PingAsync(default);
            return true;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }
}
