using Microsoft.Data.Sqlite;

namespace Idempotency.Storage.Sqlite;

/// <summary>
/// Walks through the table in the order of rows, which is how they lie in the file, up to the one that was the last when the round began. It reads by a
/// connection of its own, which in WAL mode neither waits for writers nor keeps them waiting, so that a slow disk or a damaged page is the walk's alone.
/// </summary>
internal sealed class EmbeddedWalk(EmbeddedStoreSettings settings, TimeProvider time)
{
    private readonly string _file = new SqliteConnectionStringBuilder
    {
        DataSource = Path.GetFullPath(settings.Path),
        Mode = SqliteOpenMode.ReadOnly,
        Pooling = false,
        DefaultTimeout = 1, // second
    }.ToString();

    private long _after;
    private long? _end;

    /// <exception cref="StoreUnavailableException">The file cannot be read.</exception>
    public async ValueTask<UncertainPart> WalkAsync(int max, CancellationToken cancellationToken)
    {
        try
        {
            return await Task.Run(() => Walk(max), cancellationToken);
        }
        catch (SqliteException e)
        {
            throw new StoreUnavailableException($"the embedded store cannot be read: {e.Message}", e);
        }
    }

    private UncertainPart Walk(int max)
    {
        using var connection = new SqliteConnection(_file);
        connection.Open();
        var isFirst = _end is null;
        var end = _end ?? Read(connection, "SELECT max(rowid) FROM records") ?? 0;
        var last = Read(connection, "SELECT rowid FROM records WHERE rowid > $after AND rowid <= $end ORDER BY rowid LIMIT 1 OFFSET $count", ("$after", _after), ("$end", end), ("$count", max - 1));
        var now = time.GetUtcNow().ToUnixTimeMilliseconds();
        using var walk = Command(
            connection,
            """
            SELECT id, state, lease_until FROM records
            WHERE rowid > $after AND rowid <= $last AND state <> 3 AND forgotten = 0 AND (state = 2 OR lease_until <= $now) AND expires_at > $now
            """,
            ("$after", _after),
            ("$last", last ?? end),
            ("$now", now));
        var found = new List<UncertainMark>();
        using (var row = walk.ExecuteReader())
        {
            while (row.Read())
            {
                found.Add(new UncertainMark(
                    new RecordId(Digest.From(row.GetFieldValue<byte[]>(0))), (RecordState)row.GetInt64(1) == RecordState.Uncertain, TimeSpan.FromMilliseconds(now - row.GetInt64(2))));
            }
        }

        // Only now: what failed is done again.
        (_after, _end) = (last ?? 0, last is null ? null : end);
        return new UncertainPart(found, isFirst, IsLast: last is null);
    }

    private static long? Read(SqliteConnection connection, string sql, params (string Name, long Value)[] parameters)
    {
        using var command = Command(connection, sql, parameters);
        return command.ExecuteScalar() as long?;
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql, params (string Name, long Value)[] parameters)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants
        command.CommandText = sql;
#pragma warning restore CA2100
        foreach (var (name, value) in parameters)
        {
            command.Parameters.AddWithValue(name, value);
        }

        return command;
    }
}
