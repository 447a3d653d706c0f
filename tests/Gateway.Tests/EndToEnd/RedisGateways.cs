using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// Three gateway processes that share one Redis and one backend, and nothing else. Where Redis is missing it stays asleep, because the
/// tests that would use it are skipped.
/// </summary>
public sealed class RedisGateways : IAsyncLifetime
{
    /// <summary>Of the routes below <c>/brief</c>: the shortest that a policy allows.</summary>
    public static readonly TimeSpan BriefLease = TimeSpan.FromSeconds(2);

    private readonly List<GatewayProcess> _gateways = [];
    private ScriptedBackend? _backend;
    private RedisServer? _redis;

    public ScriptedBackend Backend => _backend!;

    public IReadOnlyList<GatewayProcess> Gateways => _gateways;

    public HttpClient Client { get; } = KeyedRequests.NewClient();

    public async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            _backend = await ScriptedBackend.StartAsync();
            _redis = await RedisServer.StartOwnAsync();
            _gateways.AddRange(await Task.WhenAll(StartGatewayAsync(), StartGatewayAsync(), StartGatewayAsync()));
        }
    }

    /// <summary>One more gateway on the same Redis, for a test that kills or pauses it.</summary>
    public Task<GatewayProcess> StartGatewayAsync() => GatewayProcess.StartAsync(GatewayConfig.Write(
        GatewayConfig.Redis(_redis!.Configuration),
        new { brief = new { Lease = BriefLease.ToString("c") } },
        new GatewayRoute("/{**rest}", Backend.Url),
        new GatewayRoute("/brief/{**rest}", Backend.Url, "brief")));

    /// <summary>Through one of the gateways, under a host name that does not tell which.</summary>
    public Task<Answer> PostAsync(GatewayProcess gateway, string path, string key) =>
        KeyedRequests.PostAsync(Client, gateway.Url + path, key, headers: [KeyValuePair.Create("Host", "api.example")]);

    public async Task DisposeAsync()
    {
        Client.Dispose();
        foreach (var gateway in _gateways)
        {
            await gateway.DisposeAsync();
        }

        await (_backend?.DisposeAsync() ?? default);
        await (_redis?.DisposeAsync() ?? default);
    }
}
