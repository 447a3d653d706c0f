using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>
/// A gateway whose spans nobody gets is no part of a trace: the backend gets the client's trace context to the letter, and traces behind
/// the gateway as it did without one.
/// </summary>
public sealed class TracePassThroughTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private static readonly string[] ContextFields = ["traceparent", "tracestate", "baggage", "Request-Id", "Correlation-Context", "b3"];

    public static TheoryData<string> Contexts =>
    [
        $"traceparent: 00-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-01",
        $"traceparent: 00-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-00",
        $"traceparent: cc-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-01-of-a-later-version",
        $"traceparent: 00-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-01|tracestate: a=1|tracestate: b@sys=2,c=3|baggage: k=v;p=q , n=%C3%A9",
        $"baggage: only=baggage|Request-Id: |{TracedGateway.TraceId}.1.|Correlation-Context: a=b",
        $"b3: {TracedGateway.TraceId}-{TracedGateway.ClientSpan}-1",
        "traceparent: not one|tracestate: ,|baggage: =",
        "",
    ];

    [Theory]
    [MemberData(nameof(Contexts))]
    public async Task TheTraceContext_PassesUntouched(string context)
    {
        var lines = context.Split('|', StringSplitOptions.RemoveEmptyEntries).Where(line => line.Contains(": ", StringComparison.Ordinal)).ToArray();
        foreach (var path in (string[])[EmbeddedGateway.NewPath(), EmbeddedGateway.NewPath("/plain")])
        {
            Assert.Equal(201, (await gateway.PostRawAsync(path, "{}", [.. lines, $"Idempotency-Key: {EmbeddedGateway.NewKey()}"])).Status);

            Assert.Equal(Fields(lines.Select(line => line.Split(": ", 2)).Select(parts => KeyValuePair.Create(parts[0], parts[1]))), Fields(Assert.Single(gateway.ArrivalsAt(path)).Headers));
        }
    }

    /// <summary>Several lines of one name are one list (RFC 9110, section 5.3), and .NET's client writes them as one line.</summary>
    private static IEnumerable<string> Fields(IEnumerable<KeyValuePair<string, string>> headers) =>
        ContextFields.Select(name => $"{name}: {string.Join(", ", Http1Message.ValuesOf(headers.ToList(), name))}");
}
