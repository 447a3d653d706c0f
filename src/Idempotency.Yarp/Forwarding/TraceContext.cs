using System.Diagnostics;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Whether this process takes part in traces. A process whose spans nobody records must hand <c>traceparent</c>, <c>tracestate</c> and
/// <c>baggage</c> on as they came: a span of its own that it put in the client's place would be marked "not sampled", and would switch off the
/// tracing of every backend that follows its caller, as OpenTelemetry's do by default (W3C Trace Context, section 3.2).
/// </summary>
internal static class TraceContext
{
    /// <summary>Who makes the spans of a forward: the server, YARP, and the HTTP client.</summary>
    private static readonly ActivitySource[] Sources = [new("Microsoft.AspNetCore"), new("Yarp.ReverseProxy"), new("System.Net.Http")];

    /// <summary>Someone records our spans: our own exporter, or an agent that was loaded into the process.</summary>
    public static bool IsRecorded => Sources.Any(source => source.HasListeners());
}
