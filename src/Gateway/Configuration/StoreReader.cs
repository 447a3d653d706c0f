using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Idempotency.Storage.Redis;
using Idempotency.Yarp.Configuration;

namespace Gateway.Configuration;

/// <summary>Reads the section <c>Store</c>.</summary>
internal static class StoreReader
{
    public static StoreSettings Read(SettingsReader reader)
    {
        var defaults = new StoreSettings();
        var embedded = reader.Section("Embedded");
        var redis = reader.Section("Redis");
        var postgres = reader.Section("Postgres");
        var answers = reader.Section("Answers");
        var answersRedis = answers.Section("Redis");
        var settings = new StoreSettings
        {
            Kind = reader.Choice("Kind", defaults.Kind),
            Timeout = reader.Duration("Timeout", defaults.Timeout, TimeSpan.FromMilliseconds(50), TimeSpan.FromSeconds(10)),
            Embedded = new EmbeddedStoreSettings
            {
                Path = embedded.Text("Path", defaults.Embedded.Path),
                Durability = embedded.Choice("Durability", defaults.Embedded.Durability),
            },
            Redis = ReadRedis(redis) with
            {
                Acknowledge = redis.Choice("Acknowledge", defaults.Redis.Acknowledge),
                Sentinel = SecurityReader.ReadSentinel(redis.Section("Sentinel")),
            },
            Postgres = new PostgresStoreSettings { ConnectionString = postgres.Text("ConnectionString", defaults.Postgres.ConnectionString) },
            Answers = new AnswersSettings
            {
                Kind = answers.Choice("Kind", defaults.Answers.Kind),
                MinBytes = (int)answers.Number("MinBytes", defaults.Answers.MinBytes, 1024, 64 * 1024 * 1024, "bytes"),
                Redis = ReadRedis(answersRedis),
            },
        };
        if (settings is { Kind: StoreKind.Embedded, Embedded.Durability: Durability.Normal })
        {
            reader.Errors.Warn(embedded.PathOf("Durability"), "Normal: a power loss may take back the last claims and answers, and their requests may run again");
        }

        embedded.RejectUnknown();
        redis.RejectUnknown();
        postgres.RejectUnknown();
        answersRedis.RejectUnknown();
        answers.RejectUnknown();
        reader.RejectUnknown();
        var isRedisRight = CheckRedis(settings.Redis, redis);
        var isAnswersRight = CheckRedis(settings.Answers.Redis, answersRedis);
        if (isRedisRight && isAnswersRight && RedisAnswers.IsOnTheServerOfClaims(settings))
        {
            reader.Errors.Warn(
                answersRedis.PathOf("Configuration"),
                "it is the server of Store:Redis: it must not evict, because that would evict claims; give bodies a server of their own");
        }

        if (PostgresStore.Check(settings) is { } mistake)
        {
            // The string may hold a password: what is wrong is named, the value is not repeated.
            reader.Errors.Add(
                postgres.PathOf("ConnectionString"), null, $"expected an Npgsql connection string such as {defaults.Postgres.ConnectionString}; {mistake}");
        }

        return settings;
    }

    /// <summary>What the store's server and the answers' server have in common.</summary>
    private static RedisStoreSettings ReadRedis(SettingsReader redis)
    {
        var defaults = new RedisStoreSettings();
        return new RedisStoreSettings
        {
            Configuration = redis.Text("Configuration", defaults.Configuration),
            KeyPrefix = redis.Text("KeyPrefix", defaults.KeyPrefix),
            Login = SecurityReader.ReadLogin(redis),
            Tls = SecurityReader.ReadTls(redis.Section("Tls")),
        };
    }

    /// <returns>Whether all is well.</returns>
    private static bool CheckRedis(RedisStoreSettings settings, SettingsReader redis)
    {
        if (settings.KeyPrefix.AsSpan().ContainsAny('{', '}'))
        {
            redis.Errors.Add(redis.PathOf("KeyPrefix"), settings.KeyPrefix, "a prefix without { and }, which would choose the Cluster's slot");
        }

        if (settings.Sentinel.ServiceName is not null && redis.OptionalText("Configuration") is null)
        {
            redis.Errors.Add(redis.PathOf("Configuration"), null, "expected the end points of the Sentinels, such as 10.0.0.5:26379,10.0.0.6:26379");
        }

        var mistakes = RedisStore.FindMistakes(settings);
        foreach (var (setting, expected) in mistakes)
        {
            redis.Errors.Add(redis.PathOf(setting), null, expected);
        }

        return mistakes.Count == 0;
    }
}
