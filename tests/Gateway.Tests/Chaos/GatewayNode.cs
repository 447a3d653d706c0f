using System.Collections.Concurrent;
using System.Diagnostics;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Faults;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>One gateway process with a network of its own to the backend and, where the store is a single server, to the store.</summary>
internal sealed class GatewayNode : IAsyncDisposable
{
    /// <summary>The shortest that a policy allows.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    /// <summary>How long a gateway waits for a backend that says nothing. Longer than the backend's slowest execution.</summary>
    public static readonly TimeSpan BackendTimeout = TimeSpan.FromSeconds(5);

    /// <summary>A refusal would have come by then: the request has been forwarded.</summary>
    private static readonly TimeSpan AtWork = TimeSpan.FromMilliseconds(80);

    private readonly ConcurrentDictionary<Stopwatch, bool> _briefRequests = new();
    private GatewayProcess? _process;

    private GatewayNode(string name, TcpProxy? store, TcpProxy backend)
    {
        (Name, StoreLink, BackendLink) = (name, store, backend);
    }

    public string Name { get; }

    public TcpProxy? StoreLink { get; }

    public TcpProxy BackendLink { get; }

    /// <summary>Where it listens, or did before it was taken away.</summary>
    public string Url => Process.Url;

    public GatewayProcess Process => _process!;

    /// <summary>The most memory that it was seen to have, in bytes.</summary>
    public long PeakMemory { get; private set; }

    /// <summary>Whether the backend works, most likely, on a request whose retention is short.</summary>
    public bool IsAtBriefWork => _briefRequests.Keys.Any(since => since.Elapsed > AtWork);

    /// <summary>Of every SIGTERM that did not end as it should: exit code 0, in time.</summary>
    public ConcurrentQueue<string> BadExits { get; } = new();

    public static async Task<GatewayNode> StartAsync(
        string name, ChaosStore store, string backend, string honest, ChaosSettings settings, IReadOnlyDictionary<string, string>? more = null)
    {
        var node = new GatewayNode(
            name, store.Endpoint is { } endpoint ? TcpProxy.Start(endpoint) : null, TcpProxy.Start(backend.Replace("http://", "", StringComparison.Ordinal)));
        var url = $"http://{node.BackendLink.Endpoint}";
        var config = GatewayConfig.Write(
            store.Section(node.StoreLink?.Endpoint),
            new
            {
                chaos = new { Lease = Lease.ToString("c") },
                brief = new { Lease = Lease.ToString("c"), Retention = Operation.BriefRetention.ToString("c") },
                honest = HonestWork.Probe(Lease, isOld: settings.Program is not null),
                retried = HonestWork.Retry(Lease),
                alone = HonestWork.Lock(Lease),
            },
            new GatewayRoute(Operation.LastingPath, url, "chaos", BackendTimeout),
            new GatewayRoute(Operation.BriefPath, url, "brief", BackendTimeout),
            node.HonestRoute(HonestWork.KeyedPath + "/{operation}", honest, "honest"),
            node.HonestRoute(HonestWork.RetriedPath + "/{operation}", honest, "retried"),
            node.HonestRoute(HonestWork.LockedPath + "/{resource}", honest, "alone"));
        var environment = new Dictionary<string, string>(store.Environment) { ["Logging__LogLevel__Gateway"] = "Debug", ["Logging__LogLevel__Idempotency"] = "Debug" };
        foreach (var (setting, value) in more ?? new Dictionary<string, string>())
        {
            environment[setting] = value;
        }

        if (settings.Defects is not null)
        {
            foreach (var (setting, value) in Defects.Environment(settings.Defects))
            {
                environment[setting] = value;
            }
        }

        node._process = await GatewayProcess.StartAsync(config, environment, settings.Program);
        return node;
    }

    private GatewayRoute HonestRoute(string path, string honest, string policy) => new(path, honest, policy, BackendTimeout, HttpVersion: "1.1")
    {
        AcceptsAnyCertificate = true,
        Transforms = [new() { ["RequestHeader"] = "X-Gateway", ["Set"] = Name }],
    };

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

    /// <summary>Remembers a request whose retention is short while it is under way.</summary>
    public async Task DuringAsync(Func<Task> briefRequest)
    {
        var since = Stopwatch.StartNew();
        _briefRequests[since] = true;
        await briefRequest();
        _briefRequests.Remove(since, out _);
    }

    /// <summary>Looks at its memory, unless it is away just now.</summary>
    public void MeasureMemory()
    {
        try
        {
            using var process = System.Diagnostics.Process.GetProcessById(Process.Pid);
            PeakMemory = Math.Max(PeakMemory, process.PeakWorkingSet64);
        }
        catch (Exception away) when (away is ArgumentException or InvalidOperationException or NullReferenceException)
        {
            // Killed, and not yet started again.
        }
    }

    public async ValueTask DisposeAsync()
    {
        await (_process?.DisposeAsync() ?? default);
        await (StoreLink?.DisposeAsync() ?? default);
        await BackendLink.DisposeAsync();
    }
}
