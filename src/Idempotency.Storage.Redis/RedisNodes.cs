using System.Collections.Concurrent;
using System.Net;

namespace Idempotency.Storage.Redis;

/// <summary>The servers that were met as masters.</summary>
internal sealed class RedisNodes(RedisBuckets buckets, TimeProvider time, ILogger logger, string description)
{
    private readonly ConcurrentDictionary<EndPoint, RedisNode> _nodes = new();

    public IReadOnlyCollection<RedisNode> All => [.. _nodes.Values];

    /// <summary>Those that were looked at, and found to serve buckets.</summary>
    public IEnumerable<RedisNode> Serving => _nodes.Values.Where(node => node is { IsMaster: true, Identity: not null, Buckets.Count: > 0 });

    /// <summary>One of them failed at the last look.</summary>
    public bool IsAnyFailing => _nodes.Values.Any(node => node is { IsMaster: true, HasFailed: true });

    /// <summary>One of them is being looked at for the first time.</summary>
    public bool IsAnyNew => _nodes.Values.Any(node => node is { IsMaster: true, Identity: null, HasFailed: false });

    /// <summary>A look is under way.</summary>
    public bool IsAnyLookedAt => _nodes.Values.Any(node => !node.Look.IsCompleted);

    /// <summary>Why nothing takes claims; null when no master is met.</summary>
    public string? Obstacle => _nodes.Values.Where(node => node.IsMaster).Select(node => node.Obstacle).FirstOrDefault();

    /// <summary>Takes up those that are connected now, and closes the buckets of the others.</summary>
    /// <param name="masters">The end points that say that they are masters.</param>
    /// <returns>Those.</returns>
    public IReadOnlyList<RedisNode> Meet(IReadOnlySet<EndPoint> masters)
    {
        foreach (var node in _nodes.Values)
        {
            node.IsMaster = masters.Contains(node.EndPoint);
            if (!node.IsMaster)
            {
                buckets.Close(node);
            }
        }

        return [.. masters.Select(endPoint => _nodes.GetOrAdd(endPoint, _ => new RedisNode(endPoint, buckets, time, logger, description)))];
    }

    /// <returns>Whether it was good, as far as is known.</returns>
    public bool Doubt(EndPoint? endPoint)
    {
        if (endPoint is null || !_nodes.TryGetValue(endPoint, out var node))
        {
            return false;
        }

        node.Doubt();
        return node is { IsMaster: true, HasFailed: false };
    }

    public void DoubtAll()
    {
        foreach (var node in _nodes.Values)
        {
            node.Doubt();
        }
    }

    /// <summary>Slots or roles may have changed.</summary>
    public void ListAll()
    {
        foreach (var node in _nodes.Values)
        {
            node.MustList = true;
        }
    }

    /// <summary>Names a node's failure in its obstacle, with its end point where there are several.</summary>
    public string Failed(RedisNode node, string reason) =>
        node.Obstacle = _nodes.Count > 1 ? $"{RedisAddresses.Describe(node.EndPoint)}: {reason}" : reason;
}
