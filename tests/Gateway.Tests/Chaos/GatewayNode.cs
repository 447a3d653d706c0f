using System.Collections.Concurrent;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>One gateway process with a network of its own to the store and to the backend.</summary>
internal sealed class GatewayNode : IAsyncDisposable
{
    /// <summary>The shortest that a policy allows.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    /// <summary>How long a gateway waits for a backend that says nothing. Longer than the backend's slowest execution.</summary>
    public static readonly TimeSpan BackendTimeout = TimeSpan.FromSeconds(5);

    private GatewayProcess? _process;

    private GatewayNode(string name, TcpProxy store, TcpProxy backend)
    {
        (Name, StoreLink, BackendLink) = (name, store, backend);
    }

    public string Name { get; }

    public TcpProxy StoreLink { get; }

    public TcpProxy BackendLink { get; }

    /// <summary>Where it listens, or did before it was taken away.</summary>
    public string Url => Process.Url;

    public GatewayProcess Process => _process!;

    /// <summary>Of every SIGTERM that did not end as it should: exit code 0, in time.</summary>
    public ConcurrentQueue<string> BadExits { get; } = new();

    public static async Task<GatewayNode> StartAsync(string name, string store, string backend)
    {
        var node = new GatewayNode(name, TcpProxy.Start(store), TcpProxy.Start(backend.Replace("http://", "", StringComparison.Ordinal)));
        var config = GatewayConfig.Write(
            GatewayConfig.Redis(node.StoreLink.Endpoint),
            new { chaos = new { Lease = Lease.ToString("c") } },
            new GatewayRoute("/{**rest}", $"http://{node.BackendLink.Endpoint}", "chaos", BackendTimeout));
        node._process = await GatewayProcess.StartAsync(config);
        return node;
    }

    public async Task TerminateAsync()
    {
        var lines = Process.Output.Count;
        var exitCode = await Process.TerminateAsync();
        if (exitCode != 0)
        {
            var output = string.Join("\n  ", Process.Output.Skip(lines - 1));
            BadExits.Enqueue($"{Name} ended with exit code {exitCode} after SIGTERM; its last line before, and all after:\n  {output}");
        }
    }

    public async ValueTask DisposeAsync()
    {
        await (_process?.DisposeAsync() ?? default);
        await StoreLink.DisposeAsync();
        await BackendLink.DisposeAsync();
    }
}
