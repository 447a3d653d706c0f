using System.Diagnostics.Metrics;

namespace Gateway.Telemetry;

/// <summary>The gateway's own measurements, on the meter <c>Gateway.Idempotency</c>; docs/operations.md lists them.</summary>
internal sealed class GatewayMetrics
{
    public const string MeterName = "Gateway.Idempotency";

    private readonly Counter<long> _requests;

    public GatewayMetrics(IMeterFactory meters)
    {
        var meter = meters.Create(MeterName);
        _requests = meter.CreateCounter<long>("gateway.idempotency.requests", "{request}", "Covered requests by policy and by what became of them.");
    }

    /// <param name="policy">The policy's name.</param>
    /// <param name="outcome"><c>recorded</c>, <c>replayed</c>, <c>released</c>, <c>bypassed</c>, or the slug of the problem.</param>
    public void Request(string policy, string outcome) =>
        _requests.Add(1, new KeyValuePair<string, object?>("policy", policy), new KeyValuePair<string, object?>("outcome", outcome));
}
