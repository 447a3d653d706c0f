using Gateway.Tests.Chaos;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>
/// Seed 002 as it is run: clients, a gateway process, a backend process and the foreign systems, with a network of its own on each link. The
/// form that knows keys stands behind a policy that sends an uncertain request again, the unmodified one behind one that refuses to.
/// </summary>
internal sealed class AccountSystem : IAsyncDisposable
{
    public const string KeyAware = "/accounts";
    public const string Legacy = "/legacy/accounts";

    /// <summary>Longer than the backend waits for all three foreign calls.</summary>
    static readonly TimeSpan BackendTimeout = TimeSpan.FromSeconds(3);

    /// <summary>Each way to the foreign systems, so that a kill finds accounts half open.</summary>
    static readonly TimeSpan Latency = TimeSpan.FromMilliseconds(30);

    readonly DemoHost _foreign;
    readonly Dictionary<string, TcpProxy> _links = [];
    readonly DemoProcess _backend;
    GatewayProcess? _gateway;

    AccountSystem(DemoDatabase database, DemoHost foreign)
    {
        _foreign = foreign;
        var foreignSystems = new Uri(foreign.ForeignUrl).Authority;
        _links["core banking"] = TcpProxy.Start(foreignSystems);
        _links["registry"] = TcpProxy.Start(foreignSystems);
        _backend = new DemoProcess(
            database, "--foreign-timeout", "800", "--completer-interval", "100", "--completer-after", "1500",
            "--core-banking", UrlOf("core banking"), "--registry", UrlOf("registry"));
        _links["core banking"].Delay = _links["registry"].Delay = Latency;
        _links["backend"] = TcpProxy.Start(_backend.Endpoint);
        _links["gateway"] = TcpProxy.Start("127.0.0.1:1"); // known once it has started
    }

    /// <summary>Where clients go.</summary>
    public string Url => UrlOf("gateway");

    /// <summary>Sees the database, and is left alone.</summary>
    public DemoHost Witness => _foreign;

    public static async Task<AccountSystem> StartAsync(DemoDatabase database)
    {
        // The foreign systems are in this process: they are somebody else's, and are not killed.
        var system = new AccountSystem(database, await DemoHost.StartAsync(database, "--completer-interval", "0"));
        return await Starting.OrDisposedAsync(system, async () =>
        {
            await system._backend.StartAsync();
            await system.StartGatewayAsync();
        });
    }

    /// <param name="server">At its end: gateway, backend, core banking or registry.</param>
    public TcpProxy Link(string server) => _links[server];

    /// <summary>kill -9 of the gateway, or of the backend, and a new start after a while.</summary>
    public async Task KillAsync(string server, TimeSpan away)
    {
        if (server == "gateway")
        {
            await _gateway!.KillAsync();
            await Task.Delay(away);
            await _gateway.StartAgainAsync();
            FollowGateway();
        }
        else
        {
            await _backend.KillAsync();
            await Task.Delay(away);
            await _backend.StartAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await (_gateway?.DisposeAsync() ?? default);
        await _backend.DisposeAsync();
        foreach (var link in _links.Values)
            await link.DisposeAsync();
        await _foreign.DisposeAsync();
    }

    async Task StartGatewayAsync()
    {
        var policies = new
        {
            aware = new
            {
                Lease = GatewayNode.Lease.ToString("c"),
                Retention = "1.00:00:00",
                Uncertain = new { Retries = "Retry" },
                Response = new { Release = (int[])[401, 403, 408, 409, 421, 425, 429, 503] }, // 409 is this backend's word for: not now
            },
            careful = new { Lease = GatewayNode.Lease.ToString("c"), Retention = "1.00:00:00", Uncertain = new { Retries = "Refuse" } },
        };
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded,
            policies,
            new GatewayRoute(KeyAware, UrlOf("backend"), "aware", BackendTimeout),
            new GatewayRoute(Legacy, UrlOf("backend"), "careful", BackendTimeout)));
        FollowGateway();
    }

    /// <summary>Each start finds another port.</summary>
    void FollowGateway() => _links["gateway"].Retarget(new Uri(_gateway!.Url).Authority);

    string UrlOf(string server) => $"http://{_links[server].Endpoint}";
}
