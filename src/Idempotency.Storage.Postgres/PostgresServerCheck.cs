using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Knows whether the server still has what it acknowledged. It is asked on every new connection, and once a second by the listener. One that
/// may have lost writes means a quarantine: every gateway puts its own last writes back, waits until all the others have had the time to
/// notice, does it again for what came in between, and only then claims.
/// </summary>
/// <param name="description">For the log.</param>
/// <param name="quarantine">Twice the time in which every gateway notices.</param>
/// <param name="changed">Told before anything is put back: old connections lead to what was, and the tables are to be looked at.</param>
/// <param name="putBack">Writes the journal back; returns how many writes were missing.</param>
/// <param name="time">Local time.</param>
/// <param name="logger">For the log.</param>
internal sealed class PostgresServerCheck(
    string description, TimeSpan quarantine, Action changed, Func<Task<int>> putBack, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan RestAfterFailure = TimeSpan.FromMilliseconds(200);

    private readonly CancellationTokenSource _closing = new();
    private readonly Lock _lock = new();
    private PostgresIdentity? _known;
    private Task? _puttingBack;
    private int _doubts;
    private int _verified;
    private bool _isLoss;

    /// <summary>Claims may be sent: no loss is known that was not made good.</summary>
    public bool IsVerified => Volatile.Read(ref _verified) == Volatile.Read(ref _doubts);

    /// <summary>The number of the records' table; 0 when none is known.</summary>
    public long Table
    {
        get
        {
            lock (_lock)
            {
                return _known?.Table ?? 0;
            }
        }
    }

    /// <summary>Asks the server of this connection who it is. When this returns, a loss that is seen by it is known.</summary>
    /// <param name="connection">To a primary.</param>
    public async Task LookAsync(NpgsqlConnection connection)
    {
        PostgresIdentity? asked;
        lock (_lock)
        {
            asked = _known;
        }

        var found = await PostgresRecords.IdentifyAsync(connection, quarantine);
        lock (_lock)
        {
            Learn(found, asked);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        if (_puttingBack is { } puttingBack)
        {
            // One that hangs does not hold up the end.
            await Task.WhenAny(puttingBack, Task.Delay(quarantine, time));
        }
    }

    /// <param name="found">What the server said.</param>
    /// <param name="asked">What was known before it was asked: only that much of the log must be there, because others asked later and may be known already.</param>
    private void Learn(in PostgresIdentity found, in PostgresIdentity? asked)
    {
        if (_known is not { } known)
        {
            // Nothing of ours can be missing. Others may have to put their writes back first.
            _known = found;
            if (found.IsNew)
            {
                Doubt();
            }

            return;
        }

        var flushedTo = asked is { } before && before.IsSameServerAs(known) ? before.FlushedTo : 0;
        if (found.LossSince(known with { FlushedTo = flushedTo }) is { } loss)
        {
            _known = found;
            _isLoss = true;
            StoreLog.ServerChanged(logger, description, loss);
            changed();
            Doubt();
        }
        else
        {
            _known = known with { Table = found.Table == 0 ? known.Table : found.Table, FlushedTo = Math.Max(known.FlushedTo, found.FlushedTo) };
        }
    }

    private void Doubt()
    {
        Volatile.Write(ref _doubts, _doubts + 1);
        _puttingBack ??= Task.Run(PutBackAsync);
    }

    private async Task PutBackAsync()
    {
        while (!_closing.IsCancellationRequested)
        {
            var doubts = Volatile.Read(ref _doubts);
            try
            {
                var missing = await putBack();
                await Task.Delay(quarantine, time, _closing.Token);
                missing += await putBack();
                if (TryConfirm(doubts, isMissing: missing > 0))
                {
                    return;
                }
            }
            catch (Exception e) when (e is StoreUnavailableException or OperationCanceledException)
            {
                // The server is away again. What was noticed is not forgotten.
                await Task.Delay(RestAfterFailure, time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <returns>False when there was another doubt meanwhile.</returns>
    private bool TryConfirm(int doubts, bool isMissing)
    {
        lock (_lock)
        {
            if (doubts != _doubts)
            {
                return false;
            }

            if (_isLoss && !isMissing)
            {
                StoreLog.StoreRestarted(logger, description);
            }

            _isLoss = false;
            _puttingBack = null;
            Volatile.Write(ref _verified, doubts);
            return true;
        }
    }
}
