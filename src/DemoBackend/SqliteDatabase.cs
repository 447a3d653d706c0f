using System.Data.Common;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DemoBackend;

/// <summary>One SQLite file on disk.</summary>
internal sealed class SqliteDatabase(string path, TimeSpan roundTrip, TimeProvider time) : Database(roundTrip, time)
{
    const int ResultCodeMask = 0xFF; // the rest of an extended result code says why

    readonly string _connectionString = new SqliteConnectionStringBuilder { DataSource = path }.ToString();

    protected override string Identity => "INTEGER"; // INTEGER PRIMARY KEY is the row's own number

    public override Task<DbConnection> OpenAsync() => Task.FromResult<DbConnection>(Open());

    public override bool IsUniqueViolation(DbException e) => e is SqliteException
    {
        SqliteExtendedErrorCode: raw.SQLITE_CONSTRAINT_UNIQUE or raw.SQLITE_CONSTRAINT_PRIMARYKEY,
    };

    public override bool IsSerializationFailure(DbException e) =>
        e is SqliteException sqlite && (sqlite.SqliteExtendedErrorCode & ResultCodeMask) == raw.SQLITE_BUSY;

    public override void Dispose()
    {
        using var connection = new SqliteConnection(_connectionString);
        SqliteConnection.ClearPool(connection);
    }

    protected override void CreateTables(string sql)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        using var connection = Open();

        // The mode is kept in the file. Readers and the one writer do not block each other.
        Execute(connection, "PRAGMA journal_mode = WAL");
        Execute(connection, sql);
    }

    // Deferred: the first look-up decides what the transaction sees, and a write after somebody else's commit is SQLITE_BUSY_SNAPSHOT.
    protected override Task<DbTransaction> BeginSerializableAsync(DbConnection connection) =>
        Task.FromResult<DbTransaction>(((SqliteConnection)connection).BeginTransaction(deferred: true));

    SqliteConnection Open()
    {
        var connection = new SqliteConnection(_connectionString);
        connection.Open();

        // With the short codes the client takes SQLITE_BUSY_SNAPSHOT, which waiting cannot cure, for a lock to be waited for.
        _ = raw.sqlite3_extended_result_codes(connection.Handle!, 1);

        // Writers queue inside SQLite instead of failing with "database is locked". Settings of the connection, not of the file.
        Execute(connection, "PRAGMA busy_timeout = 30000; PRAGMA synchronous = NORMAL");
        return connection;
    }

    static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.Command(sql);
        command.ExecuteNonQuery();
    }
}
