using System.Globalization;

namespace Idempotency.Storage.Redis;

/// <summary>What one Redis server says of itself (INFO), as far as the promise depends on it.</summary>
/// <param name="RunId">Changes with every start of the server.</param>
/// <param name="ReplicationId">Changes with every promotion to master, also of a server that goes on running.</param>
/// <param name="Version">As <c>7.0.15</c>.</param>
/// <param name="EvictionPolicy">What happens when the memory is full.</param>
/// <param name="AppendOnly">Whether writes go to an append-only file.</param>
/// <param name="Replicas">How many replicas are attached.</param>
/// <param name="WaitsForReplicas">Whether <c>min-replicas-to-write</c> is set.</param>
internal sealed record RedisServerFacts(
    string RunId, string ReplicationId, string Version, string EvictionPolicy, bool AppendOnly, int Replicas, bool WaitsForReplicas)
{
    /// <summary>Names one run of one server as a master: what it acknowledged in it, it has, unless it was deleted.</summary>
    public string Identity => $"{RunId}/{ReplicationId}";

    /// <summary>Whether it says so at all.</summary>
    public bool IsIdentified => RunId.Length > 0 || ReplicationId.Length > 0;

    /// <summary>No <c>maxmemory</c> is set.</summary>
    public bool IsMemoryUnbounded { get; init; }

    /// <summary>How many scripts it keeps (Redis 7; 0 before).</summary>
    public long CachedScripts { get; init; }

    public static RedisServerFacts Parse(string info)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var line in info.Split('\n', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                fields[line[..colon]] = line[(colon + 1)..];
            }
        }

        return new RedisServerFacts(
            Text("run_id"), Text("master_replid"), Text("redis_version"), Text("maxmemory_policy"), Number("aof_enabled") == 1, (int)Number("connected_slaves"),
            fields.ContainsKey("min_slaves_good_slaves"))
        {
            IsMemoryUnbounded = Text("maxmemory") == "0",
            CachedScripts = Number("number_of_cached_scripts"),
        };

        string Text(string name) => fields.GetValueOrDefault(name, "");
        long Number(string name) => long.TryParse(Text(name), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;
    }
}
