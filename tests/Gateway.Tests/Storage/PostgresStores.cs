using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Tests.Storage;

/// <summary>Opens PostgreSQL stores.</summary>
internal static class PostgresStores
{
    /// <summary>Longer than any healthy call takes on a busy machine.</summary>
    public static readonly TimeSpan Patient = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Of the columns of pg_stat_activity: the connection that listens, by what it said last: once a second it asks who the server is. Another
    /// one asks that only when it is new.
    /// </summary>
    public const string IsListener =
        "((query LIKE 'LISTEN%' OR query LIKE '%system_identifier%') AND pid <> pg_backend_pid() AND query_start > clock_timestamp() - interval '3 seconds')";

    public static PostgresStore Open(string connectionString, TimeSpan? timeout = null, ILogger<PostgresStore>? logger = null, TimeProvider? time = null) => new(
        new StoreSettings { Kind = StoreKind.Postgres, Timeout = timeout ?? Patient, Postgres = new() { ConnectionString = connectionString } },
        time ?? TimeProvider.System,
        logger ?? NullLogger<PostgresStore>.Instance);

    /// <summary>Again, until the store is not unavailable.</summary>
    public static async Task<T> OnceServedAsync<T>(Func<ValueTask<T>> call)
    {
        T? result = default;
        await Eventually.TrueAsync(
            async () =>
            {
                try
                {
                    result = await call();
                    return true;
                }
                catch (StoreUnavailableException)
                {
                    return false;
                }
            },
            "the store serves");
        return result!;
    }
}
