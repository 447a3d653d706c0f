namespace Gateway.Tests.Telemetry;

/// <summary>A span as a collector got it; ids in lower-case hexadecimal, no parent is empty.</summary>
/// <param name="Service">The resource's <c>service.name</c>.</param>
/// <param name="Scope">Who made it, such as <c>System.Net.Http</c>.</param>
public sealed record OtlpSpan(
    string Service, string Scope, string TraceId, string Id, string ParentId, string Name, IReadOnlyDictionary<string, string> Attributes);
