using System.Security.Cryptography;

namespace Gateway.Storage.Embedded;

/// <summary>
/// Keys and answers in a SQLite file (WAL). Survives restarts and <c>kill -9</c>; several gateways on one machine may share the file.
/// Its clock is the machine's. Retention is enforced by reading over-age records as absent, and by a sweep every second.
/// </summary>
internal sealed class EmbeddedStore : IIdempotencyStore
{
    private readonly StoreSettings _settings;
    private readonly TimeProvider _time;
    private readonly EmbeddedWriter _writer;
    private readonly ITimer _sweeper;
    private volatile byte[]? _secret;

    public EmbeddedStore(StoreSettings settings, TimeProvider time, ILogger<EmbeddedStore> logger)
    {
        _settings = settings;
        _time = time;
        _writer = new EmbeddedWriter(settings.Embedded, time, logger);
        _sweeper = time.CreateTimer(_ => _writer.Sweep(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    public string Description => $"Embedded ({_settings.Embedded.Path}, {_settings.Embedded.Durability})";

    public ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Claim(claim, now), cancellationToken);

    public ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Settle(claim, answer, now), cancellationToken);

    public ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.MarkUncertain(claim, now), cancellationToken);

    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        EnqueueAsync((table, now) => table.Release(claim, now), cancellationToken);

    public ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        EnqueueAsync<IReadOnlyList<WriteResult>>((table, now) => [.. claims.Select(claim => table.Renew(claim, now))], cancellationToken);

    public async ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) =>
        _secret ??= await EnqueueAsync((table, _) => table.GetOrAddSecret(RandomNumberGenerator.GetBytes(Digest.Size)), cancellationToken);

    public async ValueTask PingAsync(CancellationToken cancellationToken) => await EnqueueAsync((_, now) => now, cancellationToken);

    public async ValueTask DisposeAsync()
    {
        await _sweeper.DisposeAsync();
        _writer.Dispose();
    }

    private async ValueTask<T> EnqueueAsync<T>(Func<RecordTable, long, T> run, CancellationToken cancellationToken)
    {
        var expires = _time.GetTimestamp() + (long)(_settings.Timeout.TotalSeconds * _time.TimestampFrequency);
        var operation = new EmbeddedOperation<T>(run, expires);
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
