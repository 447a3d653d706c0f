using Idempotency.Storage;
using Idempotency.Storage.Postgres;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Adds the store of this package.</summary>
public static class PostgresIdempotencyExtensions
{
    /// <summary>Keeps keys and answers in PostgreSQL, for any number of hosts.</summary>
    /// <param name="builder">Of <c>AddIdempotency</c>.</param>
    /// <param name="connectionString">Npgsql's: <c>Host=10.0.0.5;Username=gateway;Password=...;Database=idempotency</c>.</param>
    /// <exception cref="ArgumentException">The string is not one; the message says why.</exception>
    /// <exception cref="InvalidOperationException">There is a store already.</exception>
    public static IdempotencyBuilder UsePostgres(this IdempotencyBuilder builder, string connectionString)
    {
        ArgumentNullException.ThrowIfNull(builder);
        ArgumentException.ThrowIfNullOrEmpty(connectionString);
        var settings = new StoreSettings { Kind = StoreKind.Postgres, Postgres = new() { ConnectionString = connectionString } };
        if (PostgresStore.Check(settings) is { } mistake)
        {
            throw new ArgumentException($"Expected an Npgsql connection string; {mistake}", nameof(connectionString)); // it may hold a password, and is not repeated
        }

        return builder.UseStore<PostgresStore>(settings);
    }
}
