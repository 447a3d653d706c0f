using Microsoft.Data.Sqlite;

namespace DemoBackend;

/// <summary>One SQLite file on disk; every request opens its own (pooled) connection to it, as with a database server.</summary>
internal sealed class Database(string path, TimeSpan roundTrip, TimeProvider time) : IDisposable
{
    readonly string _connectionString = new SqliteConnectionStringBuilder { DataSource = path }.ToString();

    /// <summary>Creates the folder, the file and the tables that are missing.</summary>
    public void Create(params IEnumerable<string> tables)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        using var connection = Open();

        // The mode is kept in the file. Readers and the one writer do not block each other.
        Execute(connection, "PRAGMA journal_mode = WAL");
        foreach (var table in tables)
            Execute(connection, table);
    }

    public SqliteConnection Open()
    {
        var connection = new SqliteConnection(_connectionString);
        connection.Open();

        // Writers queue inside SQLite instead of failing with "database is locked". Settings of the connection, not of the file.
        Execute(connection, "PRAGMA busy_timeout = 30000; PRAGMA synchronous = NORMAL");
        return connection;
    }

    /// <summary>
    /// Stands for the network between an API and its database server. SQLite answers inside the process, before any other request gets
    /// a turn, which would hide the race between a look-up and the insert that follows it; a real database is never that near.
    /// </summary>
    public Task RoundTripAsync() => Task.Delay(roundTrip, time);

    public void Dispose()
    {
        using var connection = new SqliteConnection(_connectionString);
        SqliteConnection.ClearPool(connection);
    }

    static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.Command(sql);
        command.ExecuteNonQuery();
    }
}
