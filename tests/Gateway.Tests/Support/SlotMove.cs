using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>One slot of a Cluster on its way from one master to another, key by key, as an operator's tool moves it.</summary>
internal sealed class SlotMove : IAsyncDisposable
{
    private readonly RedisCluster _cluster;
    private readonly string _slot;
    private readonly RedisProcess _source;
    private readonly RedisProcess _target;
    private bool _isFinished;

    private SlotMove(RedisCluster cluster, string slot, RedisProcess source, RedisProcess target)
    {
        _cluster = cluster;
        _slot = slot;
        _source = source;
        _target = target;
    }

    /// <param name="cluster">The Cluster.</param>
    /// <param name="key">One whose slot shall move, with all that is in it.</param>
    public static async Task<SlotMove> BeginAsync(RedisCluster cluster, string key)
    {
        RedisProcess? source = null;
        foreach (var node in cluster.Nodes)
        {
            source ??= (await node.CommandAsync("KEYS", "*")).Split('\n').Contains(key) ? node : null;
        }

        var target = cluster.Nodes.First(node => node != source);
        var slot = await source!.CommandAsync("CLUSTER", "KEYSLOT", key);
        await target.CommandAsync("CLUSTER", "SETSLOT", slot, "IMPORTING", await source.CommandAsync("CLUSTER", "MYID"));
        await source.CommandAsync("CLUSTER", "SETSLOT", slot, "MIGRATING", await target.CommandAsync("CLUSTER", "MYID"));
        return new SlotMove(cluster, slot, source, target);
    }

    /// <summary>What has not moved yet.</summary>
    public async Task<IReadOnlyList<string>> KeysAsync() =>
        (await _source.CommandAsync("CLUSTER", "GETKEYSINSLOT", _slot, "1000")).Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public async Task MoveAsync(IEnumerable<string> keys)
    {
        foreach (var key in keys)
        {
            await _source.CommandAsync("MIGRATE", "127.0.0.1", _target.Port.ToString(CultureInfo.InvariantCulture), key, "0", "5000");
        }
    }

    /// <summary>Moves the rest, and tells all masters.</summary>
    public async Task FinishAsync()
    {
        _isFinished = true;
        await MoveAsync(await KeysAsync());
        var targetId = await _target.CommandAsync("CLUSTER", "MYID");
        foreach (var node in _cluster.Nodes.OrderBy(node => node != _target))
        {
            await node.CommandAsync("CLUSTER", "SETSLOT", _slot, "NODE", targetId);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_isFinished)
        {
            await FinishAsync();
        }
    }
}
