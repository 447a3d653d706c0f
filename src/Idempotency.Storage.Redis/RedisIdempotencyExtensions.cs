using Idempotency.Storage;
using Idempotency.Storage.Redis;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the store of this package.</summary>
public static class RedisIdempotencyExtensions
{
    /// <summary>Keeps keys and answers in Redis, for any number of hosts: one node, the nodes of a Cluster, or Sentinels.</summary>
    /// <param name="builder">Of <c>AddIdempotency</c>.</param>
    /// <param name="configuration">End points, comma separated, then options of StackExchange.Redis: <c>10.0.0.5:6379,user=gateway,password=...,ssl=true</c>.</param>
    /// <exception cref="ArgumentException">The string is not one; the message says why.</exception>
    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    public static IdempotencyBuilder UseRedis(this IdempotencyBuilder builder, string configuration)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(configuration);
        var settings = new StoreSettings { Kind = StoreKind.Redis, Redis = new() { Configuration = configuration } };
        var mistakes = RedisStore.FindMistakes(settings.Redis);
        if (mistakes.Count > 0)
        {
            throw new ArgumentException(string.Join(" ", mistakes.Select(mistake => $"{mistake.Setting}: {mistake.Expected}.")), nameof(configuration));
        }

        return builder.UseStore<RedisStore>(settings);
    }
}
