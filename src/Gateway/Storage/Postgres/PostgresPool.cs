using Npgsql;

namespace Gateway.Storage.Postgres;

/// <summary>The connections to one host, and what is known of them.</summary>
/// <param name="source">The connections.</param>
/// <param name="createdAt">A timestamp.</param>
internal sealed class PostgresPool(NpgsqlDataSource source, long createdAt)
{
    private long _answeredAt = createdAt;
    private int _underWay;

    public NpgsqlDataSource Source => source;

    /// <summary>When a call last ended well, as a timestamp; at first, when the pool was made.</summary>
    public long AnsweredAt => Volatile.Read(ref _answeredAt);

    /// <summary>How many connections are in a call.</summary>
    public int UnderWay => Volatile.Read(ref _underWay);

    public void Begin() => Interlocked.Increment(ref _underWay);

    public void End() => Interlocked.Decrement(ref _underWay);

    public void Answered(long at) => Volatile.Write(ref _answeredAt, at);
}
