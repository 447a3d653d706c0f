namespace Idempotency.Storage.Redis;

/// <summary>Says what a server's settings mean for the promise, which holds while the store keeps acknowledged writes.</summary>
internal static class RedisPreflight
{
    /// <summary>Scripts that read the clock and then write need effects replication, which is the default from here on.</summary>
    private static readonly Version Oldest = new(5, 0);

    /// <summary>Some 150 MB: each start of a gateway leaves one.</summary>
    private const int ManyScripts = 10_000;

    /// <summary>What an operator should change, or know.</summary>
    public static IReadOnlyList<string> Judge(RedisServerFacts facts)
    {
        if (!System.Version.TryParse(facts.Version, out var version))
        {
            return [$"its settings cannot be checked, its version is {facts.Version}; see that it is {Oldest} or later, with noeviction and appendonly"];
        }

        var findings = new List<string>();
        if (version < Oldest)
        {
            findings.Add($"its version is {facts.Version}; {Oldest} or later is needed");
        }

        if (facts.EvictionPolicy != "noeviction")
        {
            findings.Add(
                $"maxmemory-policy is {facts.EvictionPolicy}: a full server drops claims and answers, and their requests run again; set noeviction");
        }

        if (!facts.AppendOnly)
        {
            findings.Add("appendonly is off: a restart loses claims and answers since the last snapshot, or all of them, and their requests may run again");
        }

        if (facts is { Replicas: > 0, WaitsForReplicas: false })
        {
            findings.Add("it has replicas and no min-replicas-to-write: a failover may lose the last writes, and their requests may run again");
        }

        if (facts.CachedScripts > ManyScripts)
        {
            findings.Add($"it keeps {facts.CachedScripts} scripts, one of each gateway that ever started since its own start; SCRIPT FLUSH frees their memory");
        }

        return findings;
    }
}
