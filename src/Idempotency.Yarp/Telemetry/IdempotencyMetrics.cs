using System.Diagnostics.Metrics;

namespace Idempotency.Yarp;

/// <summary>The gateway's own measurements, on the meter <c>Gateway.Idempotency</c>; docs/operations.md lists them.</summary>
internal sealed class IdempotencyMetrics
{
    public const string MeterName = "Gateway.Idempotency";

    private readonly Meter _meter;
    private readonly Counter<long> _requests;
    private readonly Counter<long> _unusable;
    private readonly Counter<long> _bodies;

    public IdempotencyMetrics(IMeterFactory meters)
    {
        _meter = meters.Create(MeterName);
        _requests = _meter.CreateCounter<long>("gateway.idempotency.requests", "{request}", "Covered requests by policy and by what became of them.");
        _unusable = _meter.CreateCounter<long>("gateway.idempotency.unusable_records", "{record}", "Recorded answers that could not be used, by policy and by reason.");
        _bodies = _meter.CreateCounter<long>("gateway.idempotency.answer_bodies", "{body}", "Bodies of the size that is kept apart, by policy and by what became of them.");
    }

    /// <param name="policy">The policy's name.</param>
    /// <param name="result">Of a first answer <c>apart</c>, <c>inline</c> or <c>dropped</c>; of a replay <c>read</c>, <c>gone</c>, <c>altered</c> or <c>unreachable</c>.</param>
    public void AnswerBody(string policy, string result) =>
        _bodies.Add(1, new KeyValuePair<string, object?>("policy", policy), new KeyValuePair<string, object?>("result", result));

    /// <param name="policy">The policy's name.</param>
    /// <param name="reason">Corrupt, Forged, UnknownKey and the like.</param>
    public void UnusableRecord(string policy, string reason) =>
        _unusable.Add(1, new KeyValuePair<string, object?>("policy", policy), new KeyValuePair<string, object?>("reason", reason));

    /// <param name="read">How many bytes of bodies are in memory now.</param>
    public void ObserveBufferedBytes(Func<long> read) =>
        _meter.CreateObservableGauge("gateway.idempotency.buffered_bytes", read, "By", "Bytes of request and answer bodies in memory, bounded by Limits:BufferedBytes.");

    /// <param name="read">How many records the last round through the store found uncertain; null when none has ended well.</param>
    public void ObserveUncertainRecords(Func<long?> read) => _meter.CreateObservableGauge<long>(
        "gateway.idempotency.uncertain_records",
        () => read() is { } count ? [new Measurement<long>(count)] : [],
        "{record}",
        "Records in the store whose outcome is unknown, as the last round through it found them.");

    /// <param name="policy">The policy's name.</param>
    /// <param name="outcome"><c>recorded</c>, <c>replayed</c>, <c>released</c>, <c>bypassed</c>, or the slug of the problem.</param>
    public void Request(string policy, string outcome) =>
        _requests.Add(1, new KeyValuePair<string, object?>("policy", policy), new KeyValuePair<string, object?>("outcome", outcome));
}
