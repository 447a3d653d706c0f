using System.Data.Common;

namespace DemoBackend;

/// <summary>A request as its key remembers it.</summary>
/// <param name="Params">The parameters, always written the same way.</param>
/// <param name="ResponseCode">Set with <see cref="RecoveryPoint.Finished"/>, as is the body.</param>
internal sealed record IdempotencyKey(long Id, string Key, string Params, string RecoveryPoint, int? ResponseCode, string? ResponseBody);

/// <summary>Seed 002's table. The seed has no unique constraint on the key, and no time; both are needed.</summary>
internal sealed class IdempotencyKeys(Database database, TimeProvider time)
{
    public const string Table = """
        CREATE TABLE IF NOT EXISTS idempotency_keys (
            id              IDENTITY PRIMARY KEY,
            idempotency_key TEXT     NOT NULL UNIQUE,
            request_method  TEXT     NOT NULL,
            request_params  TEXT     NOT NULL,
            request_path    TEXT     NOT NULL,
            response_code   INTEGER  NULL,
            response_body   TEXT     NULL,
            recovery_point  TEXT     NOT NULL,
            touched_at      BIGINT   NOT NULL -- milliseconds since 1970: when somebody last worked on it
        )
        """;

    long Now => time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Enters the key, unless it is there already; the unique constraint decides between two at a time.</summary>
    public async Task<IdempotencyKey> StartAsync(string key, string method, string path, string parameters)
    {
        await using var connection = await database.OpenAsync();
        await using var insert = connection.Command("""
            INSERT INTO idempotency_keys (idempotency_key, request_method, request_params, request_path, recovery_point, touched_at)
            VALUES (@key, @method, @params, @path, @started, @now) ON CONFLICT (idempotency_key) DO NOTHING
            """,
            ("@key", key), ("@method", method), ("@params", parameters), ("@path", path), ("@started", RecoveryPoint.Started), ("@now", Now));
        await insert.ExecuteNonQueryAsync();
        return await FindAsync(connection, key);
    }

    public async Task<IdempotencyKey> FindAsync(string key)
    {
        await using var connection = await database.OpenAsync();
        return await FindAsync(connection, key);
    }

    /// <summary>An unfinished key that nobody has touched for a while, or null.</summary>
    public async Task<string?> FindAbandonedAsync(TimeSpan untouchedFor)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command("""
            SELECT idempotency_key FROM idempotency_keys WHERE recovery_point <> @finished AND touched_at <= @before ORDER BY touched_at LIMIT 1
            """, ("@finished", RecoveryPoint.Finished), ("@before", Now - (long)untouchedFor.TotalMilliseconds));
        return (string?)await select.ExecuteScalarAsync();
    }

    public async Task TouchAsync(string key)
    {
        await using var connection = await database.OpenAsync();
        await using var update = connection.Command(
            "UPDATE idempotency_keys SET touched_at = @now WHERE idempotency_key = @key AND recovery_point <> @finished",
            ("@now", Now), ("@key", key), ("@finished", RecoveryPoint.Finished));
        await update.ExecuteNonQueryAsync();
    }

    /// <summary>Part of a phase's transaction: moves the key on from the recovery point that it was read at.</summary>
    /// <returns>False when somebody else has moved it since.</returns>
    public async Task<bool> MoveAsync(
        DbConnection connection, IdempotencyKey key, string recoveryPoint, int? responseCode = null, string? responseBody = null)
    {
        await using var update = connection.Command("""
            UPDATE idempotency_keys SET recovery_point = @to, response_code = @code, response_body = @body, touched_at = @now
            WHERE id = @id AND recovery_point = @from
            """,
            ("@to", recoveryPoint), ("@code", (object?)responseCode ?? DBNull.Value), ("@body", (object?)responseBody ?? DBNull.Value),
            ("@now", Now), ("@id", key.Id), ("@from", key.RecoveryPoint));
        return await update.ExecuteNonQueryAsync() == 1;
    }

    static async Task<IdempotencyKey> FindAsync(DbConnection connection, string key)
    {
        await using var select = connection.Command("""
            SELECT id, request_params, recovery_point, response_code, response_body FROM idempotency_keys WHERE idempotency_key = @key
            """, ("@key", key));
        await using var row = await select.ExecuteReaderAsync();
        return await row.ReadAsync()
            ? new(
                row.GetInt64(0), key, row.GetString(1), row.GetString(2),
                await row.IsDBNullAsync(3) ? null : row.GetInt32(3), await row.IsDBNullAsync(4) ? null : row.GetString(4))
            : throw new InvalidOperationException("The key was deleted while its request ran.");
    }
}
