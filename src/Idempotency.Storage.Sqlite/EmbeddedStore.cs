using System.Security.Cryptography;

namespace Idempotency.Storage.Sqlite;

/// <summary>
/// Keys and answers in a SQLite file (WAL). Survives restarts and <c>kill -9</c>; several gateways on one machine may share the file.
/// Its clock is the machine's. Retention is enforced by reading over-age records as absent, and by a sweep every second.
/// </summary>
internal sealed class EmbeddedStore : IIdempotencyStore
{
    /// <summary>Beyond this many the watches are dropped, which their callers' polling covers.</summary>
    private const int MaxWatched = 10_000;

    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly EmbeddedWriter _writer;
    private readonly ITimer _sweeper;
    private readonly EmbeddedWalk _walk;
    private readonly HashSet<RecordId> _watched = []; // touched by the writer's thread only
    private volatile byte[]? _secret;
    private RecordId _lastFound;

    /// <exception cref="InvalidOperationException">The SQLite library that was loaded can corrupt the file.</exception>
    public EmbeddedStore(StoreSettings settings, TimeProvider time, ILogger<EmbeddedStore> logger)
    {
        SqliteLibrary.Require(SqliteLibrary.LoadedVersion);
        _settings = settings;
        _time = time;
        _writer = new EmbeddedWriter(settings.Embedded, time, logger);
        _walk = new EmbeddedWalk(settings.Embedded, time);
        _sweeper = time.CreateTimer(_ => _writer.Sweep(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    public event Action<RecordId>? Changed;

    public event Action<RecordId>? Forgotten;

    public string Description => $"Embedded ({_settings.Embedded.Path}, {_settings.Embedded.Durability})";

    public ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Claim(claim, now), cancellationToken);

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Settle(claim, answer, now), result => Ended(claim.Id, result), cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.MarkUncertain(claim, now), result => Ended(claim.Id, result), cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Release(claim, now), result => Ended(claim.Id, result), cancellationToken);

    public ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        EnqueueAsync<IReadOnlyList<WriteResult>>((table, now) => [.. claims.Select(claim => table.Renew(claim, now))], cancellationToken);

    public ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Find(id, now), found => Watch(id, found), cancellationToken);

    public async ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken)
    {
        // In the order of ids, and from the start again after the last one.
        var found = await EnqueueAsync((table, now) => table.FindUncertain(_lastFound, max, now), cancellationToken);
        _lastFound = found.Count == max ? found[^1].Id : default;
        return found;
    }

    public ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => _walk.WalkAsync(max, cancellationToken);

    public ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken) => EnqueueAsync(
        (table, now) => table.Forget(id, now, expiresAt: now + (long)IIdempotencyStore.ForgottenFor.TotalMilliseconds),
        isDone =>
        {
            if (isDone)
            {
                Announce(Forgotten, id);
                Ended(id, WriteResult.Done);
            }
        },
        cancellationToken);

    public async ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) =>
        _secret ??= await EnqueueAsync((table, _) => table.GetOrAddSecret(RandomNumberGenerator.GetBytes(Digest.Size)), cancellationToken);

    public async ValueTask PingAsync(CancellationToken cancellationToken) => await EnqueueAsync((_, now) => now, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _sweeper.DisposeAsync();
        _writer.Dispose();
    }

    private void Watch(RecordId id, ClaimResult? found)
    {
        if (found is { State: ClaimState.InProgress })
        {
            if (_watched.Count >= MaxWatched)
            {
                _watched.Clear();
            }

            _watched.Add(id);
        }
    }

    private void Ended(RecordId id, WriteResult result)
    {
        if (_watched.Count > 0 && result is WriteResult.Done or WriteResult.Recreated && _watched.Remove(id))
        {
            Announce(Changed, id);
        }
    }

    /// <summary>Not on the writer's thread, which every request waits for.</summary>
    private static void Announce(Action<RecordId>? handlers, RecordId id) =>
        ThreadPool.QueueUserWorkItem(static call => call.handlers?.Invoke(call.id), (handlers, id), preferLocal: false);

    private ValueTask<T> EnqueueAsync<T>(Func<RecordTable, long, T> run, CancellationToken cancellationToken) => EnqueueAsync(run, committed: null, cancellationToken);

    private async ValueTask<T> EnqueueAsync<T>(Func<RecordTable, long, T> run, Action<T>? committed, CancellationToken cancellationToken)
    {
        var expires = _time.GetTimestamp() + (long)(_settings.Timeout.TotalSeconds * _time.TimestampFrequency);
        var operation = new EmbeddedOperation<T>(run, expires, committed);
        if (!_writer.TryEnqueue(operation))
        {
            throw new StoreUnavailableException("the embedded store is overloaded or closed");
        }

        try
        {
            return await operation.Task.WaitAsync(_settings.Timeout, _time, cancellationToken);
        }
        catch (TimeoutException e)
        {
            throw new StoreUnavailableException($"the embedded store gave no answer within {_settings.Timeout.TotalSeconds:0.###} s", e) { MayHaveTakenEffect = true };
        }
    }
}
