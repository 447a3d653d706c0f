using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>Names of keys. The bucket is the Cluster's hash tag: what belongs to one bucket shares a slot.</summary>
internal sealed class RedisKeys(string prefix)
{
    private readonly RedisKey[] _open = [.. Enumerable.Range(0, RecordId.Buckets).Select(bucket => (RedisKey)$"{prefix}{{b{bucket:d4}}}:open")];

    /// <summary>KEYS of the scripts: the record, and the open records of its bucket.</summary>
    public RedisKey[] Of(RecordId id) => [$"{prefix}{{b{id.Bucket:d4}}}:{id}", _open[id.Bucket]];

    /// <summary>KEYS of open.lua, which looks at no record.</summary>
    public RedisKey[] OfBucket(int bucket) => [_open[bucket], _open[bucket]];
}
