using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>Tells failures apart, and puts them into words for the log. None of them ever means "absent".</summary>
internal static class PostgresErrors
{
    /// <summary>The connection is gone: what was sent on it may or may not have been executed.</summary>
    public static bool IsConnectionLost(Exception e) => e switch
    {
        // 57P01 to 57P05: ended by an administrator, a crash, a shutdown, a dropped database, an idle limit.
        PostgresException { SqlState: var state } => state.StartsWith("57P", StringComparison.Ordinal) || state.StartsWith("08", StringComparison.Ordinal),
        NpgsqlException => true,
        IOException => true,
        _ => false,
    };

    /// <summary>The server refused, and executed nothing.</summary>
    public static bool IsRefusal(Exception e) => e is PostgresException && !IsConnectionLost(e);

    /// <summary>The server takes no writes, for now: a standby, or a primary that is being left.</summary>
    public static bool IsReadOnly(Exception e) => e is PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction };

    /// <summary>A table is missing: somebody dropped it, or this is another database now.</summary>
    public static bool IsTableMissing(Exception e) => e is PostgresException { SqlState: PostgresErrorCodes.UndefinedTable };

    public static string Describe(Exception e) => e switch
    {
        PostgresException { SqlState: PostgresErrorCodes.ReadOnlySqlTransaction } => "25006, the server takes no writes: it is a standby, or was made read-only",
        PostgresException refusal => $"{refusal.SqlState}, {refusal.MessageText}",
        NpgsqlException { InnerException: { } inner } when inner is not AggregateException => $"{e.Message} ({inner.Message})",
        _ => e.Message,
    };
}
