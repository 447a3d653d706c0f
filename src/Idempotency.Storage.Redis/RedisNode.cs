using System.Net;

namespace Idempotency.Storage.Redis;

/// <summary>
/// One server that was met as a master, and what is known of it. One look at a time changes it (<see cref="RedisLook"/>); a doubt may come from
/// anywhere, and closes the node's buckets until a look that began later has ended well.
/// </summary>
internal sealed class RedisNode(EndPoint endPoint, RedisBuckets buckets, TimeProvider time, ILogger logger, string description)
{
    private int _doubts;

    public EndPoint EndPoint => endPoint;

    /// <summary>This server's time.</summary>
    public StoreClock Clock { get; } = new(time);

    /// <summary>The store time after which a claim or a re-created one must not take effect: its caller has been told by then.</summary>
    public long NotAfter(TimeSpan left) => Clock.Now + RedisArguments.Of(left);

    /// <summary>The run of the server under which its buckets were last open; null before that.</summary>
    public string? Identity { get; set; }

    /// <summary>Of that run.</summary>
    public RedisFence? Fence { get; set; }

    /// <summary>A claim found that it does not have it: it is another run, or its scripts were flushed.</summary>
    public bool LacksFence { get; set; }

    /// <summary>The youngest epoch at the last look, and when it was first seen.</summary>
    public (string? Epoch, long SeenAt) Youngest { get; set; }

    /// <summary>The run that was handed the scripts, and judged.</summary>
    public string? MetAs { get; set; }

    /// <summary>The buckets that it served at the last whole look.</summary>
    public IReadOnlyList<int> Buckets { get; set; } = [];

    /// <summary>Buckets that may have lost writes and are not confirmed yet: what was noticed is not forgotten when a later step fails.</summary>
    public HashSet<int> Lost { get; } = [];

    /// <summary>Everything was deleted, and not only the last writes.</summary>
    public bool IsEmptied { get; set; }

    /// <summary>The loss is in the log.</summary>
    public bool IsLossReported { get; set; }

    /// <summary>How many own writes were missing since the last time that all could be put back.</summary>
    public int PutBack { get; set; }

    /// <summary>It is connected, and says that it is a master.</summary>
    public bool IsMaster { get; set; } = true;

    /// <summary>The last look at it failed.</summary>
    public bool HasFailed { get; set; }

    /// <summary>Its buckets must be listed anew: slots moved, or an epoch was not the expected one.</summary>
    public bool MustList { get; set; }

    /// <summary>Of calls to it. (That looks fail is said by the watch.)</summary>
    public StoreOutage Outage { get; } = new(logger, description);

    /// <summary>Why its buckets are closed, for errors and readiness.</summary>
    public string Obstacle { get; set; } = "not looked at yet";

    /// <summary>The look that is under way, or the last one.</summary>
    public Task Look { get; set; } = Task.CompletedTask;

    /// <summary>To be read before a look, and compared after it.</summary>
    public int Doubts => Volatile.Read(ref _doubts);

    /// <summary>It may be another server now, or have lost writes: no claims until it was looked at.</summary>
    public void Doubt()
    {
        Interlocked.Increment(ref _doubts);
        buckets.Close(this);
    }
}
