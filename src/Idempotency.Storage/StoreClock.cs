namespace Idempotency.Storage;

/// <summary>
/// Estimates a remote store's time between its replies. Used only to give claims a "not after": a reply is always somewhat older than
/// it says, so the estimate lags behind the store, which shortens the time in which a claim may take effect. (A Cluster has a clock per node.)
/// </summary>
internal sealed class StoreClock(TimeProvider time)
{
    private sealed record Sample(long StoreMilliseconds, long Timestamp);

    private volatile Sample? _sample;

    /// <summary>The store's time, in milliseconds since 1970.</summary>
    public long Now => _sample is { } sample ? sample.StoreMilliseconds + (long)time.GetElapsedTime(sample.Timestamp).TotalMilliseconds : 0;

    public void Set(long storeMilliseconds) => _sample = new Sample(storeMilliseconds, time.GetTimestamp());
}
