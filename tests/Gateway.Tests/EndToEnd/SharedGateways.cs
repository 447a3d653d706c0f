using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// Three gateway processes that share one store and one backend, and nothing else. Where the store is missing it stays asleep, because the
/// tests that would use it are skipped.
/// </summary>
public abstract class SharedGateways(FaultyStore store, bool isUsable, Dictionary<string, string>? environment = null) : IAsyncLifetime
{
    /// <summary>Of the routes below <c>/brief</c>: the shortest that a policy allows.</summary>
    public static readonly TimeSpan BriefLease = TimeSpan.FromSeconds(2);

    private readonly List<GatewayProcess> _gateways = [];
    private ScriptedBackend? _backend;

    public ScriptedBackend Backend => _backend!;

    public IReadOnlyList<GatewayProcess> Gateways => _gateways;

    public HttpClient Client { get; } = KeyedRequests.NewClient();

    public async Task InitializeAsync()
    {
        if (isUsable)
        {
            _backend = await ScriptedBackend.StartAsync();
            await store.StartAsync();
            _gateways.AddRange(await Task.WhenAll(StartGatewayAsync(), StartGatewayAsync(), StartGatewayAsync()));
        }
    }

    /// <summary>One more gateway on the same store, for a test that kills or pauses it.</summary>
    public Task<GatewayProcess> StartGatewayAsync() => GatewayProcess.StartAsync(GatewayConfig.Write(
        store.Section(store.Endpoint),
        new { brief = new { Lease = BriefLease.ToString("c") } },
        new GatewayRoute("/{**rest}", Backend.Url),
        new GatewayRoute("/brief/{**rest}", Backend.Url, "brief")),
        environment);

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
        await store.DisposeAsync();
    }
}

public sealed class RedisGateways() : SharedGateways(new FaultyRedis(), RedisInstallation.IsUsable(ownServer: true));

public sealed class PostgresGateways() : SharedGateways(new FaultyPostgres(), PostgresInstallation.IsUsable(ownServer: true));

/// <summary>For a load under which a call of a shared machine may take longer than a second.</summary>
public abstract class PatientGateways(FaultyStore store, bool isUsable) : SharedGateways(
    store, isUsable, new() { ["Store__Timeout"] = "00:00:05", ["Idempotency__Policies__brief__Lease"] = "00:00:10" });

public sealed class PatientRedisGateways() : PatientGateways(new FaultyRedis(), RedisInstallation.IsUsable(ownServer: true));

public sealed class PatientPostgresGateways() : PatientGateways(new FaultyPostgres(), PostgresInstallation.IsUsable(ownServer: true));
