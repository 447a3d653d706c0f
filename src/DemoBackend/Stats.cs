namespace DemoBackend;

/// <summary>
/// How many side effects each system had, read from its rows: the truth that an answer's status cannot tell.
/// <c>doubleBooked</c> counts seats with more than one booking; <c>duplicates</c> counts entries beyond the first of each long URL, e-mails
/// with more than one user, and references with more than one account, deposit or entry at a foreign system; <c>unfinished</c> counts keys
/// that are not at their last recovery point, and accounts of the legacy form that are still being opened, or were given up.
/// </summary>
internal static class Stats
{
    static readonly string[] Tables =
    [
        "cart_items", "bookings", "urls", "users", "events", "outbox",
        "idempotency_keys", "accounts", "core_accounts", "core_deposits", "registry_entries",
    ];

    public static void Map(WebApplication app)
    {
        app.MapGet("/stats", CountAsync);
        app.MapDelete("/stats", EmptyAsync);
    }

    static async Task<IResult> CountAsync(Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var count = connection.Command("""
            SELECT (SELECT count(*) FROM cart_items),
                   (SELECT count(*) FROM bookings),
                   (SELECT count(*) FROM (SELECT seat FROM bookings GROUP BY seat HAVING count(*) > 1) AS several),
                   (SELECT count(*) FROM urls),
                   (SELECT count(*) - count(DISTINCT long_url) FROM urls),
                   (SELECT count(*) FROM users),
                   (SELECT count(*) FROM (SELECT email FROM users GROUP BY email HAVING count(*) > 1) AS several),
                   (SELECT count(*) FROM events),
                   (SELECT count(*) FROM outbox),
                   (SELECT count(*) FROM accounts),
                   (SELECT count(*) FROM core_accounts),
                   (SELECT count(*) FROM core_deposits),
                   (SELECT count(*) FROM registry_entries),
                   (SELECT count(*) FROM (
                       SELECT reference FROM core_accounts GROUP BY reference HAVING count(*) > 1 UNION
                       SELECT reference FROM core_deposits GROUP BY reference HAVING count(*) > 1 UNION
                       SELECT reference FROM registry_entries GROUP BY reference HAVING count(*) > 1) AS several),
                   (SELECT count(*) FROM idempotency_keys WHERE recovery_point <> 'finished')
                       + (SELECT count(*) FROM accounts WHERE key_id IS NULL AND status <> 'open')
            """);
        await using var row = await count.ExecuteReaderAsync();
        await row.ReadAsync();
        return Results.Ok(new
        {
            Cart = new { Items = row.GetInt64(0) },
            Seats = new { Bookings = row.GetInt64(1), DoubleBooked = row.GetInt64(2) },
            Urls = new { Entries = row.GetInt64(3), Duplicates = row.GetInt64(4) },
            Users = new { Users = row.GetInt64(5), Duplicates = row.GetInt64(6), Events = row.GetInt64(7), Emails = row.GetInt64(8) },
            Accounts = new
            {
                Accounts = row.GetInt64(9),
                CoreAccounts = row.GetInt64(10),
                Deposits = row.GetInt64(11),
                RegistryEntries = row.GetInt64(12),
                Duplicates = row.GetInt64(13),
                Unfinished = row.GetInt64(14),
            },
        });
    }

    static async Task<IResult> EmptyAsync(Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using var empty = connection.Command(string.Join("; ", Tables.Select(table => $"DELETE FROM {table}")));
        await empty.ExecuteNonQueryAsync();
        await transaction.CommitAsync();
        return Results.NoContent();
    }
}
