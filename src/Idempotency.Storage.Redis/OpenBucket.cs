using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>What a claim in one bucket sends along, so that it takes effect only where this process has put back what was lost.</summary>
/// <param name="Number">The bucket.</param>
/// <param name="Node">The master that serves it.</param>
/// <param name="Fence">The scripts as that server, in its present run, knows them.</param>
/// <param name="Epoch">The bucket's epoch, which the script compares.</param>
internal sealed record OpenBucket(int Number, RedisNode Node, RedisFence Fence, RedisValue Epoch);
