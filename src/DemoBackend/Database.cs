using System.Data.Common;

namespace DemoBackend;

/// <summary>
/// The relational database below all systems, with whatever SQLite and PostgreSQL do differently; the SQL of the systems runs on both.
/// Every request opens its own (pooled) connection.
/// </summary>
internal abstract class Database(TimeSpan roundTrip, TimeProvider time) : IDisposable
{
    /// <summary>In a table's SQL: the type of the column that numbers its rows, see <see cref="Identity"/>.</summary>
    const string IdentityPlaceholder = "IDENTITY";

    protected abstract string Identity { get; }

    /// <summary>Creates the tables that are missing, even when several processes start at once.</summary>
    /// <exception cref="DbException">The database cannot be reached or used.</exception>
    public void Create(params IEnumerable<string> tables) =>
        CreateTables(string.Join(";\n", tables).Replace(IdentityPlaceholder, Identity, StringComparison.Ordinal));

    public abstract Task<DbConnection> OpenAsync();

    /// <summary>Runs the work in one serializable transaction of its own: all of it is kept, or (after any exception) nothing.</summary>
    public async Task<T> SerializableAsync<T>(Func<DbConnection, Task<T>> work)
    {
        await using var connection = await OpenAsync();
        await using var transaction = await BeginSerializableAsync(connection);
        var result = await work(connection);
        await transaction.CommitAsync();
        return result;
    }

    /// <summary>Somebody else's row has the value already.</summary>
    public abstract bool IsUniqueViolation(DbException e);

    /// <summary>The transaction does not fit into any order with those that ran beside it. May come from any statement, and from COMMIT.</summary>
    public abstract bool IsSerializationFailure(DbException e);

    /// <summary>
    /// Stands for the network between an API and its database server. SQLite answers inside the process, before any other request gets
    /// a turn, which would hide the race between a look-up and the insert that follows it; a real database is never that near.
    /// </summary>
    public Task RoundTripAsync() => Task.Delay(roundTrip, time);

    public abstract void Dispose();

    protected abstract void CreateTables(string sql);

    protected abstract Task<DbTransaction> BeginSerializableAsync(DbConnection connection);
}
