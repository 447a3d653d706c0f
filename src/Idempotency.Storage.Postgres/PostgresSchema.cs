using System.Security.Cryptography;
using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Sees to it that the tables are there and of the version that this release knows, before the first call and again after one of them was
/// missing; reads the shared secret; warns of settings that lose acknowledged writes.
/// </summary>
/// <param name="description">For the log.</param>
/// <param name="look">Learns about the tables that are there now, before anybody uses them.</param>
/// <param name="logger">For the log.</param>
internal sealed class PostgresSchema(string description, Func<NpgsqlConnection, Task> look, ILogger logger) : IDisposable
{
    private const int Version = 1;

    /// <summary>Any number: instances that start at the same time create the tables one after the other.</summary>
    private const long MigrationLock = 0x1DE3_907E_7C15;

    private const string Advice = "an administrator can create the tables with schema.sql (docs/operations.md, PostgreSQL)";

    /// <summary>Seconds for one command: everybody waits for the one connection that does this.</summary>
    private const int Patience = 3;

    private readonly SemaphoreSlim _one = new(1);
    private volatile bool _isReady;
    private volatile byte[]? _secret;

    /// <summary>The secret of record ids, once <see cref="EnsureAsync"/> has run.</summary>
    public byte[]? Secret => _secret;

    /// <exception cref="StoreUnavailableException">The tables are not usable; nothing was called.</exception>
    public async ValueTask EnsureAsync(NpgsqlConnection connection, CancellationToken cancellationToken)
    {
        if (_isReady)
        {
            return;
        }

        await _one.WaitAsync(cancellationToken);
        try
        {
            if (!_isReady)
            {
                await CreateAsync(connection);
                await CheckDurabilityAsync(connection);
                await ShareSecretAsync(connection);
                await look(connection);
                _isReady = true;
            }
        }
        finally
        {
            _one.Release();
        }
    }

    /// <summary>A table was missing: look again before the next call.</summary>
    public void Doubt() => _isReady = false;

    public void Dispose() => _one.Dispose();

    private async Task CreateAsync(NpgsqlConnection connection)
    {
        var version = await ReadVersionAsync(connection);
        if (version is null)
        {
            try
            {
                // One command is one transaction.
                await ScalarAsync(connection, $"SELECT pg_advisory_xact_lock({MigrationLock}); {EmbeddedResource.Read(typeof(PostgresSchema), "schema.sql")}");
            }
            catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.InsufficientPrivilege or PostgresErrorCodes.InvalidSchemaName)
            {
                throw new StoreUnavailableException($"the tables are missing and cannot be created ({e.SqlState}, {e.MessageText}); {Advice}", e);
            }

            if (_secret is not null)
            {
                StoreLog.TablesRecreated(logger, description);
            }

            version = await ReadVersionAsync(connection);
        }

        if (version != Version)
        {
            throw new StoreUnavailableException($"the tables have schema version {version}, this gateway knows version {Version}; use a gateway that is as new as the tables");
        }

        try
        {
            await ScalarAsync(connection, $"SELECT count(*) FROM (SELECT {PostgresSql.AllColumns} FROM idempotency_records LIMIT 0) AS none");
        }
        catch (PostgresException e) when (e.SqlState is PostgresErrorCodes.UndefinedColumn or PostgresErrorCodes.UndefinedTable)
        {
            throw new StoreUnavailableException($"the table idempotency_records is not that of schema version {Version} ({e.MessageText}); {Advice}", e);
        }
    }

    /// <summary>Null when there are no tables.</summary>
    private static async Task<int?> ReadVersionAsync(NpgsqlConnection connection) =>
        await ScalarAsync(connection, "SELECT to_regclass('idempotency_schema') IS NOT NULL") is true
            ? await ScalarAsync(connection, "SELECT version FROM idempotency_schema") as int?
            : null;

    /// <summary>What a crash of the server would lose, told once.</summary>
    private async Task CheckDurabilityAsync(NpgsqlConnection connection)
    {
        foreach (var setting in (string[])["fsync", "full_page_writes"])
        {
            if (await ScalarAsync(connection, "SELECT current_setting($1)", setting) is "off")
            {
                StoreLog.Preflight(logger, description, $"{setting} is off: a crash of the server's machine may take acknowledged claims back, and their requests may run again");
            }
        }
    }

    private async Task ShareSecretAsync(NpgsqlConnection connection)
    {
        var own = _secret;
        await ScalarAsync(
            connection, "INSERT INTO idempotency_secret (value) VALUES ($1) ON CONFLICT DO NOTHING", own ?? RandomNumberGenerator.GetBytes(Digest.Size));
        var shared = (byte[])(await ScalarAsync(connection, "SELECT value FROM idempotency_secret"))!;
        if (own is not null && !own.AsSpan().SequenceEqual(shared))
        {
            StoreLog.SecretChanged(logger, description);
        }

        _secret = shared;
    }

    private static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql, object? parameter = null)
    {
#pragma warning disable CA2100 // constants of this file
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = Patience };
#pragma warning restore CA2100
        if (parameter is not null)
        {
            command.Parameters.Add(new() { Value = parameter });
        }

        return await command.ExecuteScalarAsync();
    }
}
