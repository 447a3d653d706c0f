using Gateway.Telemetry;
using Microsoft.Extensions.Configuration;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>OpenTelemetry's variables, read as its specification has them, but that nothing is sent unless somebody asks for it.</summary>
public sealed class ExportedSignalsTests
{
    private const string Endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4317";

    [Theory]
    [InlineData("", "")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=", "")]
    [InlineData(Endpoint, "traces metrics")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=https://collector:4318/otlp", "traces metrics")]
    [InlineData("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces", "traces")]
    [InlineData("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://collector:4318/v1/metrics", "metrics")]
    [InlineData("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://collector:4318/v1/logs", "")]
    [InlineData($"{Endpoint};OTEL_TRACES_EXPORTER=none", "metrics")]
    [InlineData($"{Endpoint};OTEL_METRICS_EXPORTER=none", "traces")]
    [InlineData($"{Endpoint};OTEL_TRACES_EXPORTER=", "traces metrics")]
    [InlineData($"{Endpoint};OTEL_LOGS_EXPORTER=otlp", "traces metrics logs")]
    [InlineData("OTEL_TRACES_EXPORTER=otlp", "traces")]
    [InlineData("OTEL_METRICS_EXPORTER= otlp , none", "metrics")]
    [InlineData("OTEL_LOGS_EXPORTER=otlp", "logs")]
    [InlineData($"{Endpoint};OTEL_SDK_DISABLED=true;OTEL_LOGS_EXPORTER=otlp", "")]
    [InlineData($"{Endpoint};OTEL_SDK_DISABLED=TRUE", "")]
    [InlineData($"{Endpoint};OTEL_SDK_DISABLED=yes", "traces metrics")]
    [InlineData($"{Endpoint};OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "traces metrics")]
    public void WhatIsSent(string variables, string expected)
    {
        var signals = Read(variables);

        Assert.Equal(expected, Sent(signals));
        Assert.Empty(signals.Warnings);
    }

    [Theory]
    [InlineData($"{Endpoint};OTEL_TRACES_EXPORTER=zipkin", "metrics", "OTEL_TRACES_EXPORTER names an exporter that the gateway does not have; it has otlp and none")]
    [InlineData($"{Endpoint};OTEL_METRICS_EXPORTER=otlp,prometheus", "traces metrics", "OTEL_METRICS_EXPORTER names an exporter that the gateway does not have; it has otlp and none")]
    [InlineData("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", "", "OTEL_EXPORTER_OTLP_ENDPOINT is not an address such as http://127.0.0.1:4317; nothing is sent there")]
    [InlineData($"{Endpoint};OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=/v1/traces", "metrics", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is not an address such as http://127.0.0.1:4317; nothing is sent there")]
    [InlineData($"{Endpoint};OTEL_EXPORTER_OTLP_PROTOCOL=http/json", "traces metrics", "OTEL_EXPORTER_OTLP_PROTOCOL names a protocol that the gateway does not have, and grpc is used; it has grpc and http/protobuf")]
    public void WhatCannotBeDone_IsSaidOnce(string variables, string expected, string warning)
    {
        var signals = Read(variables);

        Assert.Equal(expected, Sent(signals));
        Assert.Equal([warning], signals.Warnings);
    }

    private static ExportedSignals Read(string variables) => ExportedSignals.Read(new ConfigurationBuilder()
        .AddInMemoryCollection(variables.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(variable => variable.Split('=', 2)).Select(parts => KeyValuePair.Create(parts[0], (string?)parts[1])))
        .Build());

    private static string Sent(ExportedSignals signals) =>
        string.Join(' ', ((string, bool)[])[("traces", signals.Traces), ("metrics", signals.Metrics), ("logs", signals.Logs)] is var all ? all.Where(one => one.Item2).Select(one => one.Item1) : []);
}
