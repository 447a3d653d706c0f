using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>A collector, a backend, and a gateway before it: <c>/plain</c> is unguarded, everything else is guarded.</summary>
internal sealed class TracedGateway : IAsyncDisposable
{
    /// <summary>What a client sends that traces, with its own span in <c>traceparent</c>.</summary>
    public static readonly KeyValuePair<string, string>[] Context =
    [
        new("traceparent", $"00-{TraceId}-{ClientSpan}-01"),
        new("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
        new("baggage", "tenant=blue;p=q , user=a%20b"),
    ];

    public const string TraceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    public const string ClientSpan = "00f067aa0ba902b7";

    private readonly HttpClient _client = KeyedRequests.NewClient();

    private TracedGateway(OtlpReceiver collector, ScriptedBackend backend, GatewayProcess gateway) =>
        (Collector, Backend, Gateway) = (collector, backend, gateway);

    public OtlpReceiver Collector { get; }

    public ScriptedBackend Backend { get; }

    public GatewayProcess Gateway { get; }

    /// <param name="variables">OpenTelemetry's; in values, HTTP and GRPC stand for the collector's addresses.</param>
    /// <param name="store">The section <c>Store</c>; null for an embedded one.</param>
    public static async Task<TracedGateway> StartAsync(IEnumerable<(string Name, string Value)> variables, object? store = null)
    {
        var collector = await OtlpReceiver.StartAsync();
        var backend = await ScriptedBackend.StartAsync();
        var environment = variables.ToDictionary(
            variable => variable.Name,
            variable => variable.Value.Replace("HTTP", collector.HttpUrl, StringComparison.Ordinal).Replace("GRPC", collector.GrpcUrl, StringComparison.Ordinal));
        var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                store ?? GatewayConfig.Embedded,
                new { },
                new GatewayRoute("/{**rest}", backend.Url),
                new GatewayRoute("/plain/{**rest}", backend.Url, Policy: null)),
            environment);
        return new TracedGateway(collector, backend, gateway);
    }

    /// <summary>Sends a request, and returns what arrived at the backend.</summary>
    public async Task<Arrival> SendAsync(string path, params IEnumerable<KeyValuePair<string, string>> headers)
    {
        var target = $"{path}/{Guid.NewGuid():N}";
        Assert.Equal(201, (await KeyedRequests.PostAsync(_client, Gateway.Url + target, EmbeddedGateway.NewKey(), headers: headers)).Status);
        return Backend.Ledger.Single(arrival => arrival.Target == target);
    }

    public Task<Answer> GetAsync(string url) => KeyedRequests.SendAsync(_client, HttpMethod.Get, url, key: null, []);

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await Gateway.DisposeAsync();
        await Backend.DisposeAsync();
        await Collector.DisposeAsync();
    }
}
