using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace Gateway.Tests.Support;

/// <summary>
/// Three masters in cluster mode, so that a script that touches keys of two slots fails in a test and not in production; each
/// with a replica if the test wants a failover. As a fixture it stays asleep where <see cref="RedisFactAttribute"/> with <c>ownServer</c> skips its tests.
/// </summary>
public sealed class RedisCluster : IAsyncLifetime, IAsyncDisposable
{
    private const int Masters = 3;
    private readonly int _replicasPerMaster;

    /// <summary>Without replicas.</summary>
    public RedisCluster()
        : this(replicasPerMaster: 0)
    {
    }

    private RedisCluster(int replicasPerMaster, params string[] settings)
    {
        _replicasPerMaster = replicasPerMaster;
        Nodes = [.. Enumerable.Range(0, Masters).Select(_ => NewNode(settings))];
        Replicas = [.. Enumerable.Range(0, Masters * replicasPerMaster).Select(_ => NewNode(settings))];
    }

    /// <summary>The masters, as the cluster was formed; stop or pause one to take away its third of the slots.</summary>
    public IReadOnlyList<RedisProcess> Nodes { get; }

    /// <summary>The replicas, as the cluster was formed; <see cref="ReplicaOfAsync"/> tells whose.</summary>
    public IReadOnlyList<RedisProcess> Replicas { get; }

    /// <summary>The endpoints of all nodes, separated by commas.</summary>
    public string Configuration => string.Join(',', All.Select(node => node.Endpoint));

    private IEnumerable<RedisProcess> All => Nodes.Concat(Replicas);

    /// <summary>One replica for each master, which takes over about three seconds after its master died.</summary>
    /// <param name="settings">More of redis-server's command line, for every node.</param>
    public static RedisCluster WithReplicas(params string[] settings) => new(replicasPerMaster: 1, settings);

    /// <summary>Returns when every node has seen the whole cluster, and the replicas follow their masters.</summary>
    public async Task StartAsync()
    {
        await Task.WhenAll(All.Select(node => node.StartAsync()));
        var replicas = _replicasPerMaster.ToString(CultureInfo.InvariantCulture);
        string[] create = ["--cluster", "create", .. All.Select(node => node.Endpoint), "--cluster-replicas", replicas, "--cluster-yes"];
        await RunClientAsync(create);
        await Task.WhenAll(All.Select(node => Eventually.TrueAsync(() => SeesTheClusterAsync(node), $"{node.Endpoint} sees the cluster complete")));
        await Task.WhenAll(Replicas.Select(node => Eventually.TrueAsync(() => FollowsAsync(node), $"{node.Endpoint} follows its master")));
    }

    /// <summary>The replica of a master that is up.</summary>
    public async Task<RedisProcess> ReplicaOfAsync(RedisProcess master)
    {
        var replication = await master.CommandAsync("INFO", "replication");
        return Replicas.Single(replica => replication.Contains(
            string.Create(CultureInfo.InvariantCulture, $"port={replica.Port},"), StringComparison.Ordinal));
    }

    /// <summary>Moves slots with their records from one master to another, as an operator does while the cluster is used.</summary>
    public async Task ReshardAsync(RedisProcess from, RedisProcess to, int slots) => await RunClientAsync(
    [
        "--cluster", "reshard", Nodes[0].Endpoint,
        "--cluster-from", await from.CommandAsync("CLUSTER", "MYID"),
        "--cluster-to", await to.CommandAsync("CLUSTER", "MYID"),
        "--cluster-slots", slots.ToString(CultureInfo.InvariantCulture),
        "--cluster-yes",
    ]);

    public Task FlushAllAsync() => Task.WhenAll(Nodes.Select(node => node.CommandAsync("FLUSHALL")));

    public async ValueTask DisposeAsync()
    {
        foreach (var node in All)
        {
            await node.DisposeAsync();
        }
    }

    Task IAsyncLifetime.InitializeAsync() => RedisInstallation.IsUsable(ownServer: true) ? StartAsync() : Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    // The bus gets a port of its own choosing: the customary "port + 10000" may be taken.
    private static RedisProcess NewNode(string[] settings) => new([
        "--cluster-enabled", "yes",
        "--cluster-port", LoopbackPorts.Reserve().ToString(CultureInfo.InvariantCulture),
        "--cluster-node-timeout", "2000",
        "--repl-diskless-sync-delay", "0",
        .. settings]);

    private static async Task RunClientAsync(string[] arguments)
    {
        var info = new ProcessStartInfo("redis-cli", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var client = Process.Start(info)!;
        var (output, errors) = (client.StandardOutput.ReadToEndAsync(), client.StandardError.ReadToEndAsync());
        await client.WaitForExitAsync();
        if (client.ExitCode != 0)
        {
            throw new InvalidOperationException($"redis-cli {string.Join(' ', arguments)} failed:\n{await output}{await errors}");
        }
    }

    private static async Task<bool> SeesTheClusterAsync(RedisProcess node)
    {
        var state = await node.CommandAsync("CLUSTER", "INFO");
        return state.Contains("cluster_state:ok", StringComparison.Ordinal) && state.Contains("cluster_size:3", StringComparison.Ordinal);
    }

    private static async Task<bool> FollowsAsync(RedisProcess node) =>
        (await node.CommandAsync("INFO", "replication")).Contains("master_link_status:up", StringComparison.Ordinal);
}
