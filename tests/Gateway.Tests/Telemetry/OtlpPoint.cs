namespace Gateway.Tests.Telemetry;

/// <summary>A data point as a collector got it: a count or a gauge's value, and of a histogram how many were measured.</summary>
public sealed record OtlpPoint(string Service, string Scope, string Metric, string Unit, long Value, IReadOnlyDictionary<string, string> Attributes)
{
    /// <summary><c>name=value</c>, by name.</summary>
    public string Labels => string.Join(' ', Attributes.OrderBy(attribute => attribute.Key, StringComparer.Ordinal).Select(attribute => $"{attribute.Key}={attribute.Value}"));
}
