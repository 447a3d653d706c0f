using System.Data.Common;

namespace DemoBackend;

/// <summary>An account as clients see it.</summary>
/// <param name="Status"><see cref="AccountRows.Opening"/> or <see cref="AccountRows.Open"/>.</param>
internal sealed record Account(long Id, string Reference, string Owner, long Deposit, string Status);

/// <summary>The accounts of seed 002, of both forms.</summary>
internal static class AccountRows
{
    public const string Opening = "opening";
    public const string Open = "open";

    // No UNIQUE on the reference: see Seats. key_id and core_account are the key-aware form's.
    public const string Table = """
        CREATE TABLE IF NOT EXISTS accounts (
            id           IDENTITY PRIMARY KEY,
            reference    TEXT     NOT NULL,
            owner        TEXT     NOT NULL,
            deposit      BIGINT   NOT NULL,
            status       TEXT     NOT NULL,
            key_id       BIGINT   NULL UNIQUE,
            core_account BIGINT   NULL
        )
        """;

    const string Columns = "id, reference, owner, deposit, status";

    /// <summary>A row of the unmodified form, or (with the id of its key, and the account's number at core banking) of the key-aware one.</summary>
    public static async Task<long> InsertAsync(DbConnection connection, AccountRequest account, long? keyId = null, long? coreAccount = null)
    {
        await using var insert = connection.Command("""
            INSERT INTO accounts (reference, owner, deposit, status, key_id, core_account)
            VALUES (@reference, @owner, @deposit, @status, @key, @core) RETURNING id
            """,
            ("@reference", account.Reference!), ("@owner", account.Owner!), ("@deposit", account.Deposit), ("@status", Opening),
            ("@key", (object?)keyId ?? DBNull.Value), ("@core", (object?)coreAccount ?? DBNull.Value));
        return (long)(await insert.ExecuteScalarAsync())!;
    }

    /// <returns>The row as it is now.</returns>
    public static async Task<Account> OpenAsync(DbConnection connection, long id)
    {
        await using var update = connection.Command(
            $"UPDATE accounts SET status = @open WHERE id = @id RETURNING {Columns}", ("@open", Open), ("@id", id));
        return (await ReadAsync(update))[0];
    }

    public static async Task<(long Id, long CoreAccount)> FindByKeyAsync(DbConnection connection, long keyId)
    {
        await using var select = connection.Command("SELECT id, core_account FROM accounts WHERE key_id = @key", ("@key", keyId));
        await using var row = await select.ExecuteReaderAsync();
        await row.ReadAsync();
        return (row.GetInt64(0), row.GetInt64(1));
    }

    public static async Task<IResult> GetAsync(long id, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command($"SELECT {Columns} FROM accounts WHERE id = @id", ("@id", id));
        return await ReadAsync(select) is [var account] ? Results.Ok(account) : Results.NotFound();
    }

    /// <summary>200 with the account when one is open, 202 when one is being opened (or was given up), 404 when there is none.</summary>
    public static async Task<IResult> FindAsync(string reference, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command(
            $"SELECT {Columns} FROM accounts WHERE reference = @reference ORDER BY id", ("@reference", reference));
        var accounts = await ReadAsync(select);
        return accounts.Find(account => account.Status == Open) is { } open ? Results.Ok(open)
            : accounts.Count > 0 ? Results.Json(accounts[0], statusCode: 202)
            : Results.NotFound();
    }

    static async Task<List<Account>> ReadAsync(DbCommand command)
    {
        await using var row = await command.ExecuteReaderAsync();
        List<Account> accounts = [];
        while (await row.ReadAsync())
            accounts.Add(new(row.GetInt64(0), row.GetString(1), row.GetString(2), row.GetInt64(3), row.GetString(4)));
        return accounts;
    }
}
