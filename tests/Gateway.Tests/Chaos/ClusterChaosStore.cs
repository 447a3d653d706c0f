using System.Text;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// A Redis Cluster of three masters and three replicas that keeps what it acknowledged: every node syncs its file, one that is away
/// is waited for instead of being replaced, and masters change by coordinated failover. The link to each node is one that all its clients
/// share, its own replica included, because a node announces one address to all.
/// </summary>
internal sealed class ClusterChaosStore : ChaosStore
{
    /// <summary>Longer than any fault, so that no replica takes over what it may not have.</summary>
    private const string NodeTimeout = "20000";

    private static readonly TimeSpan FailoverTime = TimeSpan.FromSeconds(6);

    private readonly RedisCluster _cluster = RedisCluster.WithReplicas("--appendonly", "yes", "--appendfsync", "always", "--cluster-node-timeout", NodeTimeout);
    private readonly List<(string Name, TcpProxy Link)> _links = [];

    public override IReadOnlyList<(string Name, TcpProxy Link)> Links => _links;

    private IReadOnlyList<RedisProcess> Nodes => [.. _cluster.Nodes, .. _cluster.Replicas];

    public override async Task StartAsync()
    {
        foreach (var node in Nodes)
        {
            var link = TcpProxy.Start(node.Endpoint);
            _links.Add(($"redis-{_links.Count + 1}-link", link));
            node.Configure("--cluster-announce-port", link.Endpoint.Split(':')[1]);
        }

        await _cluster.StartAsync();
    }

    public override object Section(string? endpoint) => GatewayConfig.Redis(string.Join(',', _links.Select(link => link.Link.Endpoint)));

    public override Fault Draw(Dice dice)
    {
        var number = dice.Next(Nodes.Count);
        var node = Nodes[number];
        var name = $"redis-{number + 1}";
        return dice.Next(3) switch
        {
            0 => new Fault($"{name}-pause", "cluster", dice.Milliseconds(200, 3000), node.PauseAsync, node.ResumeAsync),
            1 => new Fault($"{name}-kill", "cluster", dice.Milliseconds(50, 1000), node.StopAsync, () => ComeBackAsync(node)),
            _ => new Fault("failover", "cluster", dice.Milliseconds(100, 500), () => FailOverAsync(number), () => Task.CompletedTask),
        };
    }

    /// <summary>Asked of all, because only the master of its slot tells.</summary>
    public override async Task<byte[]> SecretAsync()
    {
        foreach (var node in Nodes)
        {
            try
            {
                return Encoding.Latin1.GetBytes(await node.CommandAsync("GET", "idem:secret"));
            }
            catch (InvalidOperationException)
            {
                // MOVED: the slot is another's.
            }
        }

        throw new InvalidOperationException("No node has the secret.");
    }

    public override async Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(IReadOnlyList<GatewayNode> nodes)
    {
        var (content, wrong) = (new StringBuilder(), new List<string>());
        foreach (var node in Nodes)
        {
            // A replica reads nothing of its own out, and has nothing else.
            if (await RoleAsync(node) == "master")
            {
                var dump = await DumpAsync(node.CommandAsync);
                content.AppendLine(dump.Content);
                wrong.AddRange(dump.Wrong);
            }
        }

        return (content.ToString(), wrong);
    }

    public override async ValueTask DisposeAsync()
    {
        await _cluster.DisposeAsync();
        foreach (var (_, link) in _links)
        {
            await link.DisposeAsync();
        }

        await base.DisposeAsync();
    }

    private static async Task ComeBackAsync(RedisProcess node)
    {
        await node.StartAsync();
        await Eventually.TrueAsync(
            async () => (await node.CommandAsync("CLUSTER", "INFO")).Contains("cluster_state:ok", StringComparison.Ordinal), "a node is back in the cluster");
    }

    /// <summary>Coordinated: the old master stops writing, and the new one has everything before it begins. Without effect while the two cannot talk.</summary>
    private async Task FailOverAsync(int first)
    {
        foreach (var node in Nodes.Skip(first).Concat(Nodes.Take(first)))
        {
            if (await RoleAsync(node) == "slave")
            {
                await node.CommandAsync("CLUSTER", "FAILOVER");
                var began = TimeProvider.System.GetTimestamp();
                while (await RoleAsync(node) == "slave" && TimeProvider.System.GetElapsedTime(began) < FailoverTime)
                {
                    await Task.Delay(TimeSpan.FromMilliseconds(50));
                }

                return;
            }
        }
    }

    private static async Task<string> RoleAsync(RedisProcess node) => (await node.CommandAsync("ROLE")).Split('\n')[0];
}
