using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>The connections to one host, and what is known of them.</summary>
/// <param name="source">The connections.</param>
/// <param name="size">How many there are at most.</param>
/// <param name="createdAt">A timestamp.</param>
#pragma warning disable CA1001 // the slots have no handle, and those who wait in a replaced pool must not find them disposed
internal sealed class PostgresPool(NpgsqlDataSource source, int size, long createdAt)
#pragma warning restore CA1001
{
    /// <summary>
    /// Who waits for a connection waits here, and can leave at any time. In Npgsql's own line, who left is woken all the same, and begins a
    /// connection that nobody wants and that has no time left.
    /// </summary>
    private readonly SemaphoreSlim _slots = new(size);

    private long _answeredAt = createdAt;
    private int _underWay;

    public NpgsqlDataSource Source => source;

    /// <summary>When a call last ended well, or a connection was made, as a timestamp; at first, when the pool was made.</summary>
    public long AnsweredAt => Volatile.Read(ref _answeredAt);

    /// <summary>How many connections are in a call.</summary>
    public int UnderWay => Volatile.Read(ref _underWay);

    /// <summary>Takes one of the connections, or the room to make one; to be given back by <see cref="Leave"/>.</summary>
    public Task EnterAsync(CancellationToken cancellationToken) => _slots.WaitAsync(cancellationToken);

    public void Leave() => _slots.Release();

    public void Begin() => Interlocked.Increment(ref _underWay);

    public void End() => Interlocked.Decrement(ref _underWay);

    public void Answered(long at) => Volatile.Write(ref _answeredAt, at);
}
