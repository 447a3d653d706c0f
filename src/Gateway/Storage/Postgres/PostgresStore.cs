using Npgsql;

namespace Gateway.Storage.Postgres;

/// <summary>
/// Keys and answers in a PostgreSQL database, for many gateways; it keeps what it acknowledged as well as that server does. A step is one
/// statement in the usual case; otherwise the row is read, <see cref="RecordRules"/> decides, and one statement writes if the row is still as
/// it was read. The clock is the server's.
/// </summary>
internal sealed class PostgresStore : IIdempotencyStore
{
    private const int MaxSweepBatch = 1000;
    private const int MinSweepBatch = 10;
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(10);

    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly PostgresConnections _connections;
    private readonly PostgresListener _listener;
    private readonly StoreClock _clock;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _sweeping;
    private RecordId _lastFound;

    public PostgresStore(StoreSettings settings, TimeProvider time, ILogger<PostgresStore> logger)
    {
        _settings = settings;
        _time = time;
        _clock = new StoreClock(time);
        _connections = new PostgresConnections(settings, time, logger);
        _listener = new PostgresListener(_connections, settings.Timeout, time);
        _sweeping = SweepForEverAsync();
    }

    public event Action<RecordId>? Changed
    {
        add => _listener.Changed += value;
        remove => _listener.Changed -= value;
    }

    public event Action<RecordId>? Forgotten
    {
        add => _listener.Forgotten += value;
        remove => _listener.Forgotten -= value;
    }

    public string Description => _connections.Description;

    /// <summary>What is wrong with the connection string, without its values; null when it will do.</summary>
    public static string? Check(StoreSettings settings)
    {
        try
        {
            PostgresConnections.CreateString(settings);
            return null;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or InvalidOperationException)
        {
            return e.Message;
        }
    }

    public async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        _listener.Start();
        return await _connections.RunAsync(
            async (connection, cancel) =>
            {
                while (true)
                {
                    var row = await PostgresRecords.InsertAsync(connection, claim, NotAfter(asked), cancel);
                    _clock.Set(row.Now);
                    if (row.Version > 0)
                    {
                        var (result, write) = RecordRules.Claim(row.Record, claim, row.Now);
                        if (await PostgresRecords.WriteAsync(connection, write, claim, answer: null, row.Version, NotAfter(asked), cancel))
                        {
                            return result;
                        }
                    }

                    // Our idea of the server's time was wrong, or the row changed meanwhile.
                    cancel.ThrowIfCancellationRequested();
                }
            },
            cancellationToken);
    }

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EndAsync(claim, RecordState.Settled, answer, cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EndAsync(claim, RecordState.Uncertain, answer: null, cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => WriteAsync(
        claim,
        answer: null,
        (connection, cancel) => PostgresRecords.ReleaseOwnAsync(connection, claim, cancel),
        row => RecordRules.Release(row.Record, claim),
        cancellationToken);

    public async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
    {
        // All in one statement; those that are not open claims of their owners any more one by one.
        var asked = _time.GetTimestamp();
        var renewed = await _connections.RunAsync((connection, cancel) => PostgresRecords.RenewOwnAsync(connection, claims, NotAfter(asked), cancel), cancellationToken);
        return await Task.WhenAll(claims.Select(claim => renewed.Contains(claim.Token) ? Task.FromResult(WriteResult.Done) : TryRenewAsync(claim)));

        async Task<WriteResult> TryRenewAsync(ClaimRequest claim)
        {
            try
            {
                return await WriteAsync(claim, answer: null, (_, _) => Task.FromResult(false), row => RecordRules.Renew(row.Record, claim, row.Now), cancellationToken);
            }
            catch (StoreUnavailableException)
            {
                return WriteResult.Unknown;
            }
        }
    }

    public async ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken)
    {
        // Listening first, so that no end falls between.
        await _listener.FollowAsync().WaitAsync(cancellationToken);
        return await _connections.RunAsync<ClaimResult?>(
            async (connection, cancel) =>
            {
                for (var watched = 0L; ;)
                {
                    var row = await FindAsync(connection, id, cancel);
                    if (row.Record is not { IsForgotten: false } record)
                    {
                        return null;
                    }

                    var found = record.ToResult(row.Now);
                    if (found.State != ClaimState.InProgress || row.Version == watched || await PostgresRecords.WatchAsync(connection, id, row.Version, cancel))
                    {
                        return found;
                    }

                    // Watched already, if it is the same when it is looked at again.
                    watched = row.Version;
                }
            },
            cancellationToken);
    }

    public async ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken)
    {
        // In the order of ids, and from the start again after the last one.
        var found = await _connections.RunAsync((connection, cancel) => PostgresRecords.FindUncertainAsync(connection, _lastFound, max, cancel), cancellationToken);
        _lastFound = found.Count == max ? found[^1].Id : default;
        return found;
    }

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        var written = 0L;
        return await _connections.RunAsync(
            async (connection, cancel) =>
            {
                while (true)
                {
                    var row = await FindAsync(connection, id, cancel);
                    if (!RecordRules.MayForget(row.Record, row.Now))
                    {
                        // Done by an earlier try, whose acknowledgement was lost.
                        return row.Record is { IsForgotten: true } && row.Version == written;
                    }

                    written = row.Version + 1;
                    var keptOutUntil = row.Now + RecordRules.Milliseconds(IIdempotencyStore.ForgottenFor);
                    if (await PostgresRecords.ForgetAsync(connection, id, row.Version, NotAfter(asked), keptOutUntil, cancel))
                    {
                        return true;
                    }

                    cancel.ThrowIfCancellationRequested();
                }
            },
            cancellationToken);
    }

    public async ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken)
    {
        if (_connections.Secret is null)
        {
            await PingAsync(cancellationToken);
        }

        return _connections.Secret!;
    }

    public async ValueTask PingAsync(CancellationToken cancellationToken) =>
        await _connections.RunAsync((connection, cancel) => FindAsync(connection, default, cancel), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync();
        await _sweeping;
        await _listener.DisposeAsync();
        await _connections.DisposeAsync();
        _closing.Dispose();
    }

    private ValueTask<WriteResult> EndAsync(ClaimRequest claim, RecordState state, ReadOnlyMemory<byte>? answer, CancellationToken cancellationToken) => WriteAsync(
        claim,
        answer,
        (connection, cancel) => PostgresRecords.EndOwnAsync(connection, claim, state, answer, cancel),
        row => RecordRules.End(row.Record, claim, state, row.Now),
        cancellationToken);

    /// <summary>An owner's write.</summary>
    /// <param name="claim">The claim.</param>
    /// <param name="answer">The answer, when settled.</param>
    /// <param name="tryUsual">The one statement that does it when all is as the owner left it; false when it is not.</param>
    /// <param name="decide">What to do with what is on record instead.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    private async ValueTask<WriteResult> WriteAsync(
        ClaimRequest claim,
        ReadOnlyMemory<byte>? answer,
        Func<NpgsqlConnection, CancellationToken, Task<bool>> tryUsual,
        Func<PostgresRow, (WriteResult Result, RecordWrite Write)> decide,
        CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        return await _connections.RunAsync(
            async (connection, cancel) =>
            {
                if (await tryUsual(connection, cancel))
                {
                    return WriteResult.Done;
                }

                while (true)
                {
                    var row = await FindAsync(connection, claim.Id, cancel);
                    var (result, write) = decide(row);
                    if (await PostgresRecords.WriteAsync(connection, write, claim, answer, row.Version, NotAfter(asked), cancel))
                    {
                        return result;
                    }

                    cancel.ThrowIfCancellationRequested();
                }
            },
            cancellationToken);
    }

    private async Task<PostgresRow> FindAsync(NpgsqlConnection connection, RecordId id, CancellationToken cancellationToken)
    {
        var row = await PostgresRecords.FindAsync(connection, id, cancellationToken);
        _clock.Set(row.Now);
        return row;
    }

    /// <summary>The store time after which a call that began at <paramref name="asked"/> must not take effect: its caller has been told by then.</summary>
    private long NotAfter(long asked) => _clock.Now + RecordRules.Milliseconds(_settings.Timeout - _time.GetElapsedTime(asked));

    private async Task SweepForEverAsync()
    {
        using var timer = new PeriodicTimer(SweepInterval, _time);
        var batch = MaxSweepBatch;
        while (await WaitAsync())
        {
            try
            {
                while (!_closing.IsCancellationRequested
                    && await _connections.RunAsync((connection, cancel) => PostgresRecords.SweepAsync(connection, batch, cancel), _closing.Token) == batch)
                {
                    batch = Math.Min(2 * batch, MaxSweepBatch);
                }
            }
            catch (Exception e) when (e is StoreUnavailableException or OperationCanceledException)
            {
                // Reported already. What is left reads as absent; fewer next time, should it have been too many large answers for one call.
                batch = Math.Max(batch / 4, MinSweepBatch);
            }
        }

        async Task<bool> WaitAsync()
        {
            try
            {
                return await timer.WaitForNextTickAsync(_closing.Token);
            }
            catch (OperationCanceledException)
            {
                return false;
            }
        }
    }
}
