namespace Idempotency.Storage.Redis;

/// <summary>
/// Finds uncertain records through the sorted set of each bucket, never by a scan of the keys. A call looks at a slice of the buckets, the
/// next one goes on behind it; within a bucket, those that were looked at least recently come first, so that none waits for ever.
/// </summary>
internal sealed class RedisSweep(RedisCalls calls, RedisConnection connection, RedisKeys keys)
{
    /// <summary>A whole round takes eight calls; they travel together.</summary>
    private const int BucketsPerCall = 128;

    private static readonly RedisScript OpenScript = new("open.lua");
    private static readonly RedisScript UncertainScript = new("uncertain.lua");

    private int _nextBucket;

    public static IReadOnlyList<RedisScript> Scripts { get; } = [OpenScript, UncertainScript];

    /// <exception cref="StoreUnavailableException">No bucket could be looked at.</exception>
    public async ValueTask<IReadOnlyList<UncertainRecord>> FindAsync(int max, CancellationToken cancellationToken)
    {
        // One silent node of a Cluster does not keep the others' records from being found.
        StoreUnavailableException? failure = null;
        var first = _nextBucket;
        var buckets = await Task.WhenAll(Enumerable.Range(first, BucketsPerCall).Select(bucket => TryAsync(() => ListAsync(bucket % RecordId.Buckets, max, cancellationToken))));
        if (failure is not null && Array.TrueForAll(buckets, bucket => bucket is null))
        {
            throw failure;
        }

        var ids = new List<RecordId>();
        var looked = 0;
        while (looked < BucketsPerCall && ids.Count < max)
        {
            ids.AddRange((buckets[looked++] ?? []).Take(max - ids.Count));
        }

        _nextBucket = (first + looked) % RecordId.Buckets;
        var records = await Task.WhenAll(ids.Select(id => TryAsync(() => ReadAsync(id, cancellationToken))));
        return [.. records.OfType<UncertainRecord>()];

        async Task<T?> TryAsync<T>(Func<Task<T>> call)
        {
            try
            {
                return await call();
            }
            catch (StoreUnavailableException e)
            {
                failure = e;
                return default;
            }
        }
    }

    private async Task<IReadOnlyList<RecordId>> ListAsync(int bucket, int max, CancellationToken cancellationToken)
    {
        var reply = await calls.RunAsync(OpenScript, keys.OfBucket(bucket), [ClaimToken.Create().ToArray(), max], connection.Open(bucket), cancellationToken);
        return RedisReply.ToRecordIds(reply);
    }

    private async Task<UncertainRecord?> ReadAsync(RecordId id, CancellationToken cancellationToken)
    {
        var reply = await calls.RunAsync(UncertainScript, keys.OfOpen(id), [ClaimToken.Create().ToArray()], connection.Open(id.Bucket), cancellationToken);
        return RedisReply.ToUncertainRecord(id, reply);
    }
}
