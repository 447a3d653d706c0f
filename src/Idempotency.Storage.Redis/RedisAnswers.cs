using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.Caching.StackExchangeRedis;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Opens the answers' server (<c>Store:Answers:Redis</c>) as an <see cref="IDistributedCache"/>, which is all that the rest of the gateway
/// sees of it. It connects over a link of its own, so that bodies do not stand in the way of claims.
/// </summary>
internal static class RedisAnswers
{
    private static readonly TimeSpan LookTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Where bodies are kept, without credentials: <c>Redis (127.0.0.1:6379, keys idem:answer:*)</c>.</summary>
    public static string Describe(StoreSettings settings) => OptionsOf(settings, settings.Answers.Redis with { KeyPrefix = Prefix(settings) }).Description;

    /// <summary>Whether claims and bodies would share a server, where one cannot be evicted without the other.</summary>
    public static bool IsOnTheServerOfClaims(StoreSettings settings) =>
        settings is { Kind: StoreKind.Redis, Answers.Kind: AnswersKind.Redis }
        && OptionsOf(settings, settings.Answers.Redis).EndPoints.Intersect(OptionsOf(settings, settings.Redis).EndPoints).Any();

    /// <summary>Connects at the first call, and by itself again whenever the link is lost.</summary>
    public static IDistributedCache Open(StoreSettings settings, TimeProvider time, ILogger logger) => new RedisCache(new RedisCacheOptions
    {
        InstanceName = Prefix(settings),
        ConnectionMultiplexerFactory = async () =>
        {
            var options = OptionsOf(settings, settings.Answers.Redis, logger);
            var multiplexer = await ConnectionMultiplexer.ConnectAsync(options.Create(options.EndPoints));
            _ = LookAsync(multiplexer, settings, time, logger);
            return multiplexer;
        },
    });

    private static RedisOptions OptionsOf(StoreSettings settings, RedisStoreSettings redis, ILogger? logger = null) => new(settings with { Redis = redis }, logger);

    private static string Prefix(StoreSettings settings) => $"{settings.Answers.Redis.KeyPrefix}answer:";

    /// <summary>Says what an operator should know of the server, once; a server that cannot be asked now, or may not be, is not.</summary>
    private static async Task LookAsync(ConnectionMultiplexer multiplexer, StoreSettings settings, TimeProvider time, ILogger logger)
    {
        foreach (var server in multiplexer.GetServers().Where(server => server is { IsConnected: true, IsReplica: false }))
        {
            try
            {
                var facts = RedisServerFacts.Parse(await server.InfoRawAsync().WaitAsync(LookTimeout, time) ?? "");
                if (facts.IsMemoryUnbounded)
                {
                    StoreLog.Preflight(
                        logger,
                        $"Answers' {Describe(settings)}",
                        "no maxmemory is set: bodies fill the machine's memory; set it, and a policy that evicts, such as allkeys-lru");
                    return;
                }
            }
            catch (Exception e) when (e is RedisException or TimeoutException)
            {
                // No reason to do without it.
            }
        }
    }
}
