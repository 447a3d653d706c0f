using System.Text.RegularExpressions;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Names of keys. The bucket is the Cluster's hash tag: what belongs to one bucket shares a slot. A script names only the keys that it needs:
/// while a slot moves, one that names a key which is not there is refused (TRYAGAIN), and most buckets have no open records.
/// </summary>
internal sealed partial class RedisKeys(string prefix)
{
    private readonly RedisKey[] _open = [.. Enumerable.Range(0, RecordId.Buckets).Select(bucket => (RedisKey)$"{prefix}{{b{bucket:d4}}}:open")];
    private readonly RedisKey[] _marks = [.. Enumerable.Range(0, RecordId.Buckets).Select(bucket => (RedisKey)$"{prefix}{{b{bucket:d4}}}:marks")];

    /// <summary>KEYS of claim.lua.</summary>
    public RedisKey[] OfClaim(in ClaimRequest claim) =>
        claim.Probe.IsEmpty ? [Record(claim.Id), _marks[claim.Id.Bucket]] : [Record(claim.Id), _marks[claim.Id.Bucket], _open[claim.Id.Bucket]];

    /// <summary>KEYS of the owner's writes.</summary>
    public RedisKey[] Of(in ClaimRequest claim) => claim.Probe.IsEmpty ? Of(claim.Id) : OfOpen(claim.Id);

    /// <summary>The record alone.</summary>
    public RedisKey[] Of(RecordId id) => [Record(id)];

    /// <summary>The record, and the open records of its bucket.</summary>
    public RedisKey[] OfOpen(RecordId id) => [Record(id), _open[id.Bucket]];

    /// <summary>KEYS of open.lua.</summary>
    public RedisKey[] OfBucket(int bucket) => [_open[bucket]];

    /// <summary>KEYS of epoch.lua.</summary>
    public RedisKey Marks(int bucket) => _marks[bucket];

    /// <summary>What SCAN matches the keys of records with (and a few others).</summary>
    public string RecordPattern { get; } = $"{GlobCharacters.Replace(prefix, @"\$0")}{{b????}}:*";

    [GeneratedRegex(@"[*?\[\]\\^-]")]
    private static partial Regex GlobCharacters { get; }

    private RedisKey Record(RecordId id) => $"{prefix}{{b{id.Bucket:d4}}}:{id}";
}
