namespace Idempotency.Storage.Postgres;

/// <summary>
/// Keys and answers in a PostgreSQL database, for many gateways; it keeps what it acknowledged as well as that server does, and
/// own last writes that a server lost are put back (<see cref="PostgresServerCheck"/>). The clock is the server's. How it is written stands in
/// <see cref="PostgresWrites"/>.
/// </summary>
internal sealed class PostgresStore : IIdempotencyStore
{
    /// <summary>A walk reads that much less at a time than where records lie side by side: each may be on a page of its own.</summary>
    private const int ScatteredRows = 4;

    private readonly TimeProvider _time;
    private readonly WriteJournal _journal;
    private readonly PostgresConnections _connections;
    private readonly PostgresWrites _writes;
    private readonly PostgresListener _listener;
    private readonly StoreClock _clock;
    private readonly PostgresSweep _sweep;
    private RecordId _lastFound;
    private RecordId _lastWalked;

    public PostgresStore(StoreSettings settings, TimeProvider time, ILogger<PostgresStore> logger)
    {
        _time = time;
        _clock = new StoreClock(time);
        _journal = new WriteJournal(time);
        PostgresPutBack? putBack = null;
        _connections = new PostgresConnections(settings, () => putBack!.RunAsync(), time, logger);
        putBack = new PostgresPutBack(this, _connections, _journal, settings.Timeout, time, logger);
        _writes = new PostgresWrites(_connections, _journal, _clock, settings.Timeout, time);
        _listener = new PostgresListener(_connections, settings.Timeout, time);
        _sweep = new PostgresSweep(_connections, _listener, PostgresSweep.Interval, time);
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

    /// <inheritdoc cref="PostgresMistakes.Find"/>
    public static string? Check(StoreSettings settings) => PostgresMistakes.Find(settings);

    public async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        await _listener.StartAsync();
        var claimed = await _connections.RunAsync(
            PostgresCallKind.Claim,
            async (connection, bound) =>
            {
                while (true)
                {
                    var (isNew, row) = await PostgresRecords.InsertAsync(connection, claim, _writes.NotAfter(asked));
                    _clock.Set(row.Now);
                    if (isNew)
                    {
                        return new ClaimResult(ClaimState.Claimed, claim.Fingerprint);
                    }

                    if (row.Version > 0)
                    {
                        var (result, write) = RecordRules.Claim(row.Record, claim, row.Now);
                        if (await _writes.ApplyAsync(connection, write, claim, answer: null, row, isDone: result.State == ClaimState.Claimed, asked))
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
        if (claimed.State == ClaimState.Claimed)
        {
            _journal.Add(claim with { Attempt = claimed.Attempt }, end: null);
        }

        return claimed;
    }

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        _writes.EndAsync(claim, ClaimEnd.Settle, answer, cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        _writes.EndAsync(claim, ClaimEnd.MarkUncertain, answer: default, cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => _writes.ReleaseAsync(claim, cancellationToken);

    public ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        _writes.RenewAsync(claims, cancellationToken);

    public async ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken)
    {
        // Listening first, so that no end falls between.
        var asked = _time.GetTimestamp();
        await _listener.FollowAsync().WaitAsync(cancellationToken);
        return await _connections.RunAsync<ClaimResult?>(
            PostgresCallKind.Owner,
            async (connection, bound) =>
            {
                for (var watched = 0L; ;)
                {
                    var row = await _writes.FindAsync(connection, id);
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
            PostgresCallKind.Background,
            (connection, _) => PostgresRecords.FindUncertainAsync(connection, _lastFound, max),
            _time.GetTimestamp(),
            cancellationToken);
        _lastFound = found.Count == max ? found[^1].Id : default;
        return found;
    }

    public async ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken)
    {
        var after = _lastWalked;
        var (found, last) = await _connections.RunAsync(
            PostgresCallKind.Background,
            (connection, _) => PostgresRecords.WalkUncertainAsync(connection, after, Math.Max(1, max / ScatteredRows)),
            _time.GetTimestamp(),
            cancellationToken);
        _lastWalked = last ?? default;
        return new UncertainPart(found, IsFirst: after == default, IsLast: last is null);
    }

    public async ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        var asked = _time.GetTimestamp();
        var keptOutUntil = 0L;
        return await _connections.RunAsync(
            PostgresCallKind.Claim,
            async (connection, bound) =>
            {
                while (true)
                {
                    var row = await _writes.FindAsync(connection, id);
                    if (!RecordRules.MayForget(row.Record, row.Now))
                    {
                        // Done by an earlier try, whose acknowledgement was lost.
                        return row.Record is { IsForgotten: true } record && record.ExpiresAt == keptOutUntil
                            && await PostgresRecords.ConfirmAsync(connection, id, row.Version);
                    }

                    keptOutUntil = row.Now + RecordRules.Milliseconds(IIdempotencyStore.ForgottenFor);
                    if (await PostgresRecords.ForgetAsync(connection, id, row.Version, _writes.NotAfter(asked), keptOutUntil))
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
        await _connections.RunAsync(PostgresCallKind.Claim, (connection, _) => _writes.FindAsync(connection, default), _time.GetTimestamp(), cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _sweep.DisposeAsync();
        await _listener.DisposeAsync();
        await _connections.DisposeAsync();
    }
}
