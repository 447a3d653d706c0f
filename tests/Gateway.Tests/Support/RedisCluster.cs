using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace Gateway.Tests.Support;

/// <summary>
/// Three masters in cluster mode, so that a script that touches keys of two slots fails in a test and not in production.
/// As a fixture it stays asleep where <see cref="RedisFactAttribute"/> with <c>ownServer</c> skips its tests.
/// </summary>
public sealed class RedisCluster : IAsyncLifetime, IAsyncDisposable
{
    /// <summary>The masters; stop or pause one to take away its third of the slots.</summary>
    public IReadOnlyList<RedisProcess> Nodes { get; } = [NewNode(), NewNode(), NewNode()];

    /// <summary>The three endpoints, separated by commas.</summary>
    public string Configuration => string.Join(',', Nodes.Select(node => node.Endpoint));

    /// <summary>Returns when every master has seen the whole cluster.</summary>
    public async Task StartAsync()
    {
        await Task.WhenAll(Nodes.Select(node => node.StartAsync()));
        string[] create = ["--cluster", "create", .. Nodes.Select(node => node.Endpoint), "--cluster-replicas", "0", "--cluster-yes"];
        var info = new ProcessStartInfo("redis-cli", create) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var cli = Process.Start(info)!;
        var (output, errors) = (cli.StandardOutput.ReadToEndAsync(), cli.StandardError.ReadToEndAsync());
        await cli.WaitForExitAsync();
        if (cli.ExitCode != 0)
        {
            throw new InvalidOperationException($"The cluster could not be formed:\n{await output}{await errors}");
        }

        await Task.WhenAll(Nodes.Select(WaitUntilCompleteAsync));
    }

    public Task FlushAllAsync() => Task.WhenAll(Nodes.Select(node => node.CommandAsync("FLUSHALL")));

    public async ValueTask DisposeAsync()
    {
        foreach (var node in Nodes)
        {
            await node.DisposeAsync();
        }
    }

    Task IAsyncLifetime.InitializeAsync() => RedisInstallation.IsUsable(ownServer: true) ? StartAsync() : Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    // The bus gets a port of its own choosing: the customary "port + 10000" may be taken.
    private static RedisProcess NewNode() => new(
        "--cluster-enabled", "yes",
        "--cluster-port", LoopbackPorts.Reserve().ToString(CultureInfo.InvariantCulture),
        "--cluster-node-timeout", "2000");

    private static async Task WaitUntilCompleteAsync(RedisProcess node)
    {
        var started = Stopwatch.StartNew();
        while (true)
        {
            var state = await node.CommandAsync("CLUSTER", "INFO");
            if (state.Contains("cluster_state:ok", StringComparison.Ordinal) && state.Contains("cluster_size:3", StringComparison.Ordinal))
            {
                return;
            }

            if (started.Elapsed > Bounds.Wait)
            {
                throw new TimeoutException($"{node.Endpoint} never saw the cluster complete:\n{state}");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }
}
