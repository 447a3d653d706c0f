using Npgsql;

namespace Gateway.Storage.Postgres;

/// <summary>
/// Keys and answers in a PostgreSQL database, for many gateways; it keeps what it acknowledged as well as that server does. A step is one
/// statement in the usual case; otherwise the row is read, <see cref="RecordRules"/> decides, and one statement writes if the row is still as
/// it was read. The clock is the server's.
/// </summary>
internal sealed class PostgresStore : IIdempotencyStore
{
    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly PostgresConnections _connections;
    private readonly PostgresListener _listener;
    private readonly StoreClock _clock;
    private readonly PostgresSweep _sweep;
    private RecordId _lastFound;

    public PostgresStore(StoreSettings settings, TimeProvider time, ILogger<PostgresStore> logger)
    {
        _settings = settings;
        _time = time;
        _clock = new StoreClock(time);
        _connections = new PostgresConnections(settings, time, logger);
        _listener = new PostgresListener(_connections, settings.Timeout, time);
        _sweep = new PostgresSweep(_connections, time);
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
            PostgresPools.CreateString(settings);
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
        await _listener.StartAsync();
        return await _connections.RunAsync(
            async (connection, bound) =>
            {
                while (true)
                {
                    var (isNew, row) = await PostgresRecords.InsertAsync(connection, claim, NotAfter(asked));
                    _clock.Set(row.Now);
                    if (isNew)
                    {
                        return new ClaimResult(ClaimState.Claimed, claim.Fingerprint);
                    }

                    if (row.Version > 0)
                    {
                        var (result, write) = RecordRules.Claim(row.Record, claim, row.Now);
                        if (await ApplyAsync(connection, write, claim, answer: null, row, isDone: result.State == ClaimState.Claimed, asked))
                        {
                            return result;
                        }
                    }

                    // Our idea of the server's time was wrong, or the row changed meanwhile.
                    bound.ThrowIfCancellationRequested();
                }
            },
            asked,
            cancellationToken);
    }

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EndAsync(claim, RecordState.Settled, answer, cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EndAsync(claim, RecordState.Uncertain, answer: null, cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => WriteAsync(
        claim,
        answer: null,
        async connection =>
        {
            if (await PostgresRecords.ReleaseOwnAsync(connection, claim))
            {
                return true;
            }

            // The claim may still wait for its commit: it must not come to light when its release is done.
            await PostgresRecords.AwaitWritersAsync(connection, claim);
            return false;
        },
        row => RecordRules.Release(row.Record, claim, row.Now),
        cancellationToken);

    public async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
    {
        // All in one statement; those that are not open claims of their owners any more one by one.
        var asked = _time.GetTimestamp();
        var renewed = await _connections.RunAsync((connection, _) => PostgresRecords.RenewOwnAsync(connection, claims, NotAfter(asked)), asked, cancellationToken);
        return await Task.WhenAll(claims.Select(claim => renewed.Contains(claim.Token) ? Task.FromResult(WriteResult.Done) : TryRenewAsync(claim)));

        async Task<WriteResult> TryRenewAsync(ClaimRequest claim)
        {
            try
            {
                return await WriteAsync(claim, answer: null, _ => Task.FromResult(false), row => RecordRules.Renew(row.Record, claim, row.Now), cancellationToken);
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
        var asked = _time.GetTimestamp();
        await _listener.FollowAsync().WaitAsync(cancellationToken);
        return await _connections.RunAsync<ClaimResult?>(
            async (connection, bound) =>
            {
                for (var watched = 0L; ;)
                {
                    var row = await FindAsync(connection, id);
                    if (row.Record is not { IsForgotten: false } record)
                    {
                        return null;
                    }

                    var found = record.ToResult(row.Now);
                    if (found.State != ClaimState.InProgress || row.Version == watched || await PostgresRecords.WatchAsync(connection, id, row.Version))
                    {
                        return found;
                    }

                    // Watched already, if it is the same when it is looked at again.
                    watched = row.Version;
                    bound.ThrowIfCancellationRequested();
                }
            },
            asked,
            cancellationToken);
    }

    public async ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken)
    {
        // In the order of ids, and from the start again after the last one.
        var found = await _connections.RunAsync(
            (connection, _) => PostgresRecords.FindUncertainAsync(connection, _lastFound, max), _time.GetTimestamp(), cancellationToken);
        _lastFound = found.Count == max ? found[^1].Id : default;
        return found;
    }

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        var keptOutUntil = 0L;
        return await _connections.RunAsync(
            async (connection, bound) =>
            {
                while (true)
                {
                    var row = await FindAsync(connection, id);
                    if (!RecordRules.MayForget(row.Record, row.Now))
                    {
                        // Done by an earlier try, whose acknowledgement was lost.
                        return row.Record is { IsForgotten: true } record && record.ExpiresAt == keptOutUntil
                            && await PostgresRecords.ConfirmAsync(connection, id, row.Version);
                    }

                    keptOutUntil = row.Now + RecordRules.Milliseconds(IIdempotencyStore.ForgottenFor);
                    if (await PostgresRecords.ForgetAsync(connection, id, row.Version, NotAfter(asked), keptOutUntil))
                    {
                        return true;
                    }

                    bound.ThrowIfCancellationRequested();
                }
            },
            asked,
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
        await _connections.RunAsync((connection, _) => FindAsync(connection, default), _time.GetTimestamp(), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _sweep.DisposeAsync();
        await _listener.DisposeAsync();
        await _connections.DisposeAsync();
    }

    private ValueTask<WriteResult> EndAsync(ClaimRequest claim, RecordState state, ReadOnlyMemory<byte>? answer, CancellationToken cancellationToken) => WriteAsync(
        claim,
        answer,
        connection => PostgresRecords.EndOwnAsync(connection, claim, state, answer),
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
        Func<NpgsqlConnection, Task<bool>> tryUsual,
        Func<PostgresRow, (WriteResult Result, RecordWrite Write)> decide,
        CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        return await _connections.RunAsync(
            async (connection, bound) =>
            {
                if (await tryUsual(connection))
                {
                    return WriteResult.Done;
                }

                while (true)
                {
                    var row = await FindAsync(connection, claim.Id);
                    var (result, write) = decide(row);
                    if (await ApplyAsync(connection, write, claim, answer, row, isDone: result == WriteResult.Done, asked))
                    {
                        return result;
                    }

                    bound.ThrowIfCancellationRequested();
                }
            },
            asked,
            cancellationToken);
    }

    /// <summary>Writes what was decided. What is done already was done by an earlier try, and is acknowledged by a commit of its own.</summary>
    /// <returns>False when the row has changed since it was read.</returns>
    private Task<bool> ApplyAsync(
        NpgsqlConnection connection, RecordWrite write, ClaimRequest claim, ReadOnlyMemory<byte>? answer, PostgresRow row, bool isDone, long asked)
    {
        if (write.Kind != RecordWriteKind.Nothing)
        {
            return PostgresRecords.WriteAsync(connection, write, claim, answer, row.Version, NotAfter(asked));
        }

        return isDone ? PostgresRecords.ConfirmAsync(connection, claim.Id, row.Version) : Task.FromResult(true);
    }

    private async Task<PostgresRow> FindAsync(NpgsqlConnection connection, RecordId id)
    {
        var row = await PostgresRecords.FindAsync(connection, id);
        _clock.Set(row.Now);
        return row;
    }

    /// <summary>The store time after which a call that began at <paramref name="asked"/> must not take effect: its caller has been told by then.</summary>
    private long NotAfter(long asked) => _clock.Now + RecordRules.Milliseconds(_settings.Timeout - _time.GetElapsedTime(asked));
}
