using System.Data;
using System.Data.Common;
using Npgsql;

namespace DemoBackend;

/// <summary>A PostgreSQL server.</summary>
internal sealed class PostgresDatabase(string connectionString, TimeSpan roundTrip, TimeProvider time) : Database(roundTrip, time)
{
    // A server takes 100 by default, and several of us may share it.
    const int MaxConnections = 30;

    // Two processes that create one table at the same time fail, IF NOT EXISTS or not. The number is ours alone, no other meaning.
    const string OneAtATime = "SELECT pg_advisory_xact_lock(20260002);";

    readonly NpgsqlDataSource _source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString) { MaxPoolSize = MaxConnections });

    protected override string Identity => "BIGSERIAL";

    public override async Task<DbConnection> OpenAsync() => await _source.OpenConnectionAsync();

    public override bool IsUniqueViolation(DbException e) => e.SqlState == PostgresErrorCodes.UniqueViolation;

    public override bool IsSerializationFailure(DbException e) =>
        e.SqlState is PostgresErrorCodes.SerializationFailure or PostgresErrorCodes.DeadlockDetected;

    public override void Dispose() => _source.Dispose();

    protected override void CreateTables(string sql)
    {
        using var connection = _source.OpenConnection();
        using var create = connection.Command(OneAtATime + sql); // one command is one transaction
        create.ExecuteNonQuery();
    }

    protected override async Task<DbTransaction> BeginSerializableAsync(DbConnection connection) =>
        await connection.BeginTransactionAsync(IsolationLevel.Serializable);
}
