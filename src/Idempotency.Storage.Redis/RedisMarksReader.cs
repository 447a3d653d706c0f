using System.Globalization;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>Reads the marks of buckets from one server, and sets new epochs there where it may have lost writes.</summary>
internal sealed class RedisMarksReader(RedisKeys keys, RedisBuckets buckets, RedisRecordSecret secret, TimeSpan timeout, TimeProvider time, CancellationToken stop)
{
    /// <summary>How many are read at a time: each has a time limit of its own.</summary>
    private const int Batch = 128;

    public static RedisScript Script { get; } = new("epoch.lua");

    /// <summary>Those that can be read: a slot that is being moved keeps its buckets closed, and no others.</summary>
    public async Task<RedisMarks[]> ReadAllAsync(RedisNode node, IServer server, IReadOnlyList<int> listed, string identity)
    {
        Exception? refusal = null;
        var read = new List<RedisMarks>(listed.Count);
        foreach (var batch in listed.Chunk(Batch))
        {
            read.AddRange((await Task.WhenAll(batch.Select(TryReadAsync))).OfType<RedisMarks>());
        }

        RedisMarks[] marks = [.. read];
        if (marks.Length < listed.Count)
        {
            node.MustList = true;
        }

        return marks.Length == 0 && refusal is not null ? throw refusal : marks;

        async Task<RedisMarks?> TryReadAsync(int bucket)
        {
            try
            {
                return await ReadAsync(node, server, bucket, identity);
            }
            catch (Exception e) when (e is RedisException or TimeoutException)
            {
                refusal = e;
                return null;
            }
        }
    }

    public async Task<RedisMarks> ReadAsync(RedisNode node, IServer server, int bucket, string identity)
    {
        var token = ClaimToken.Create().ToArray();
        var result = await WithinAsync(Script.RunOnAsync(
            server, keys.Marks(bucket), token, buckets.EpochOf(bucket) ?? "", identity, node.Identity == identity ? 1 : 0, Guid.NewGuid().ToString("n"), secret.Value ?? []));
        if (RedisReply.TryRead(result, token) is not [_, var epoch, var now, var copy]
            || !long.TryParse(((string)epoch!).Split('-')[1], NumberStyles.None, CultureInfo.InvariantCulture, out var setAt))
        {
            throw new StoreUnavailableException($"Redis {server.EndPoint} answered a look at a bucket with nonsense");
        }

        node.Clock.Set((long)now);
        return new RedisMarks(bucket, (string)epoch!, setAt, (byte[])copy!);
    }

    private Task<T> WithinAsync<T>(Task<T> call) => call.WaitAsync(timeout, time, stop);
}
