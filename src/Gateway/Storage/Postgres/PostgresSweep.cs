namespace Gateway.Storage.Postgres;

/// <summary>Deletes records whose retention is over, in batches, for as long as the store is open. Any gateway may; they leave each other's alone.</summary>
internal sealed class PostgresSweep : IAsyncDisposable
{
    private const int MaxBatch = 1000;
    private const int MinBatch = 10;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(10);

    private readonly PostgresConnections _connections;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _sweeping;
    private int _batch = MaxBatch;

    public PostgresSweep(PostgresConnections connections, TimeProvider time)
    {
        _connections = connections;
        _time = time;
        _sweeping = SweepForEverAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _sweeping;
        _closing.Dispose();
    }

    private async Task SweepForEverAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            await Task.Delay(Interval, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            try
            {
                while (!_closing.IsCancellationRequested && await SweepAsync() == _batch)
                {
                    _batch = Math.Min(2 * _batch, MaxBatch);
                }
            }
            catch (Exception e) when (e is StoreUnavailableException or OperationCanceledException)
            {
                // Reported already. What is left reads as absent; fewer next time, should it have been too many large answers for one call.
                _batch = Math.Max(_batch / 4, MinBatch);
            }
        }
    }

    private Task<int> SweepAsync() =>
        _connections.RunAsync((connection, _) => PostgresRecords.SweepAsync(connection, _batch), _time.GetTimestamp(), _closing.Token);
}
