using System.Security.Cryptography;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Deletes records whose retention is over, in batches, for as long as the store is open. Any gateway may, one at a time; the one that did
/// says so, and the others leave that round out. A gateway that does not hear of it looks at an index that has nothing for it.
/// </summary>
internal sealed class PostgresSweep : IAsyncDisposable
{
    private const int MaxBatch = 1024;
    private const int MinBatch = 16;

    /// <summary>What a batch grows and shrinks by; few sizes, because each is a statement of its own.</summary>
    private const int Step = 4;

    /// <summary>How often, by all gateways together.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly PostgresConnections _connections;
    private readonly PostgresListener _listener;
    private readonly TimeSpan _interval;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _sweeping;
    private int _batch = MaxBatch;
    private long _sweptAt;

    public PostgresSweep(PostgresConnections connections, PostgresListener listener, TimeSpan interval, TimeProvider time)
    {
        _connections = connections;
        _listener = listener;
        _interval = interval;
        _time = time;
        _sweptAt = time.GetTimestamp();
        listener.Swept += Hear;
        _sweeping = SweepForEverAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _listener.Swept -= Hear;
        await _closing.CancelAsync();
        await _sweeping;
        _closing.Dispose();
    }

    private void Hear(long table)
    {
        if (table == _connections.Table)
        {
            Volatile.Write(ref _sweptAt, _time.GetTimestamp());
        }
    }

    private async Task SweepForEverAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            await WaitForTurnAsync();
            try
            {
                while (!_closing.IsCancellationRequested && await SweepAsync() == _batch)
                {
                    _batch = Math.Min(Step * _batch, MaxBatch);
                }
            }
            catch (Exception e) when (e is StoreUnavailableException or OperationCanceledException)
            {
                // What is left reads as absent; fewer next time, should it have been too many large answers for one call.
                _batch = Math.Max(_batch / Step, MinBatch);
            }

            Volatile.Write(ref _sweptAt, _time.GetTimestamp());
        }
    }

    /// <summary>Returns when nobody is known to have swept for an interval. Not all at the same moment: the first to come tells the others.</summary>
    private async Task WaitForTurnAsync()
    {
        var patience = _interval + TimeSpan.FromMilliseconds(RandomNumberGenerator.GetInt32((int)_interval.TotalMilliseconds / 4));
        TimeSpan left;
        while (!_closing.IsCancellationRequested && (left = patience - _time.GetElapsedTime(Volatile.Read(ref _sweptAt))) > TimeSpan.Zero)
        {
            await Task.Delay(left, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private Task<int> SweepAsync() => _connections.RunAsync(
        PostgresCallKind.Background, (connection, _) => PostgresRecords.SweepAsync(connection, _batch), _time.GetTimestamp(), _closing.Token);
}
