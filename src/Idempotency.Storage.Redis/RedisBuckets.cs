namespace Idempotency.Storage.Redis;

/// <summary>
/// Which buckets take claims now, and the epoch that each is known by. A bucket is closed when its server is in doubt, and opened by the look at
/// that server; its epoch stays known, because a later one means that something was lost.
/// </summary>
internal sealed class RedisBuckets
{
    private readonly OpenBucket?[] _open = new OpenBucket?[RecordId.Buckets];
    private readonly RedisNode?[] _nodes = new RedisNode?[RecordId.Buckets];
    private readonly string?[] _epochs = new string?[RecordId.Buckets];
    private volatile TaskCompletionSource _looked = NewSignal();

    /// <summary>Whether any bucket takes claims.</summary>
    public bool IsAnyOpen => Array.Exists(_open, bucket => bucket is not null);

    /// <summary>Whether all do.</summary>
    public bool AreAllOpen => Array.TrueForAll(_open, bucket => bucket is not null);

    /// <summary>Null while it takes no claims.</summary>
    public OpenBucket? Find(int bucket) => Volatile.Read(ref _open[bucket]);

    /// <summary>The master that served the bucket when it was last open; null before that.</summary>
    public RedisNode? NodeOf(int bucket) => Volatile.Read(ref _nodes[bucket]);

    /// <summary>The epoch under which it was last open; null before that.</summary>
    public string? EpochOf(int bucket) => Volatile.Read(ref _epochs[bucket]);

    public void Open(OpenBucket bucket)
    {
        Volatile.Write(ref _epochs[bucket.Number], bucket.Epoch);
        Volatile.Write(ref _nodes[bucket.Number], bucket.Node);
        Volatile.Write(ref _open[bucket.Number], bucket);
    }

    /// <summary>Closes it, unless it was opened anew meanwhile.</summary>
    public void Close(OpenBucket seen) => Interlocked.CompareExchange(ref _open[seen.Number], null, seen);

    /// <summary>Closes all that this master serves.</summary>
    public void Close(RedisNode node)
    {
        for (var bucket = 0; bucket < _open.Length; bucket++)
        {
            if (Find(bucket) is { } open && open.Node == node)
            {
                Close(open);
            }
        }
    }

    /// <summary>A look has ended, well or not.</summary>
    public void Looked() => Interlocked.Exchange(ref _looked, NewSignal()).TrySetResult();

    /// <summary>Waits until the bucket is open, or time is up.</summary>
    public async Task WaitAsync(int bucket, TimeSpan patience, TimeProvider time, CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        while (true)
        {
            var looked = _looked.Task;
            var left = patience - time.GetElapsedTime(began);
            if (Find(bucket) is not null || left <= TimeSpan.Zero || await Task.WhenAny(looked, Task.Delay(left, time, cancellationToken)) != looked)
            {
                return;
            }
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
