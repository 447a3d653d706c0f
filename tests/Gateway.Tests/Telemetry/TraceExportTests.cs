using System.Diagnostics;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>With an exporter, the gateway is a part of its client's traces; and OpenTelemetry's variables do what they say.</summary>
[Collection(LoadCollection.Name)]
public sealed class TraceExportTests
{
    private static readonly (string Name, string Value)[] Http = [("OTEL_EXPORTER_OTLP_ENDPOINT", "HTTP"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    private static readonly (string Name, string Value)[] Soon = [("OTEL_BSP_SCHEDULE_DELAY", "50"), ("OTEL_METRIC_EXPORT_INTERVAL", "100")];

    /// <summary>Longer than any test, so that what arrives was sent at the end.</summary>
    private static readonly (string Name, string Value)[] AtTheEnd = [("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_METRIC_EXPORT_INTERVAL", "600000")];

    [Theory]
    [InlineData("grpc", "GRPC")]
    [InlineData("http/protobuf", "HTTP")]
    public async Task TheGatewaysSpans_StandBetweenTheClientsAndTheBackends(string protocol, string endpoint)
    {
        await using var traced = await TracedGateway.StartAsync(
            [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol), .. Soon]);

        foreach (var path in (string[])["/orders", "/plain"])
        {
            var arrival = await traced.SendAsync(path, TracedGateway.Context);

            var (version, trace, sent, flags) = Parts(arrival);
            Assert.Equal(("00", TracedGateway.TraceId, "01"), (version, trace, flags));
            Assert.Equal(TracedGateway.Context[1].Value, arrival.Header("tracestate"));
            Assert.Equal(TracedGateway.Context[2].Value, arrival.Header("baggage"));
            var client = await traced.Collector.Spans.WaitForAsync(span => span.Id == sent);
            var forwarder = await traced.Collector.Spans.WaitForAsync(span => span.Id == client.ParentId);
            var server = await traced.Collector.Spans.WaitForAsync(span => span.Id == forwarder.ParentId);
            Assert.Equal(("System.Net.Http", "Yarp.ReverseProxy", "Microsoft.AspNetCore"), (client.Scope, forwarder.Scope, server.Scope));
            Assert.Equal(TracedGateway.ClientSpan, server.ParentId);
            Assert.All((OtlpSpan[])[client, forwarder, server], span => Assert.Equal((TracedGateway.TraceId, "idempotency-gateway"), (span.TraceId, span.Service)));
        }
    }

    [Fact]
    public async Task AClientThatDoesNotTrace_IsTracedFromTheGatewayOn()
    {
        await using var traced = await TracedGateway.StartAsync([.. Http, .. Soon]);

        var (_, trace, sent, flags) = Parts(await traced.SendAsync("/orders"));

        Assert.Equal("01", flags);
        Assert.Equal(trace, (await traced.Collector.Spans.WaitForAsync(span => span.Id == sent)).TraceId);
    }

    [Fact]
    public async Task AClientsWordThatItsTraceIsNotRecorded_IsKept()
    {
        await using var traced = await TracedGateway.StartAsync([.. Http, .. AtTheEnd]);
        var unrecorded = TracedGateway.Context[0].Value[..^1] + "0";

        var (_, trace, _, flags) = Parts(await traced.SendAsync("/orders", KeyValuePair.Create("traceparent", unrecorded)));
        var (_, other, _, _) = Parts(await traced.SendAsync("/orders"));
        await traced.Gateway.TerminateAsync();

        Assert.Equal((TracedGateway.TraceId, "00"), (trace, flags));
        Assert.Equal([other], traced.Collector.Spans.Select(span => span.TraceId).Distinct());
    }

    [Fact]
    public async Task WhatWasNotSentYet_IsSentAtTheEnd()
    {
        await using var traced = await TracedGateway.StartAsync([.. Http, .. AtTheEnd]);
        var (_, _, sent, _) = Parts(await traced.SendAsync("/orders"));

        Assert.Equal(0, await traced.Gateway.TerminateAsync());

        Assert.Contains(traced.Collector.Spans, span => span.Id == sent);
        Assert.Contains(traced.Collector.Points, point => point is { Metric: "gateway.idempotency.requests", Value: 1 });
    }

    [Fact]
    public async Task ACollectorThatDoesNotAnswer_DelaysTheEndByItsTimeoutOnly()
    {
        using var silent = LoopbackPorts.Listen(LoopbackPorts.Reserve());
        await using var traced = await TracedGateway.StartAsync([("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://{silent.LocalEndPoint}"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"), .. AtTheEnd]);
        await traced.SendAsync("/orders");
        var began = Stopwatch.GetTimestamp();

        Assert.Equal(0, await traced.Gateway.TerminateAsync());

        Assert.InRange(Stopwatch.GetElapsedTime(began), TimeSpan.Zero, TimeSpan.FromSeconds(12));
    }

    [Fact]
    public async Task QuestionsForHealth_AreNeitherTracedNorMeasured()
    {
        await using var traced = await TracedGateway.StartAsync([.. Http, .. AtTheEnd]);

        Assert.Equal(200, (await traced.GetAsync($"{traced.Gateway.AdminUrl}/livez")).Status);
        Assert.Equal(200, (await traced.GetAsync($"{traced.Gateway.AdminUrl}/readyz")).Status);
        Assert.Equal(200, (await traced.GetAsync($"{traced.Gateway.Url}/.well-known/idempotency")).Status);
        await traced.Gateway.TerminateAsync();

        Assert.Equal(["/.well-known/idempotency"], traced.Collector.Spans.Select(span => span.Attributes["url.path"]));
        Assert.Equal(
            ["/.well-known/idempotency"],
            traced.Collector.Points.Where(point => point.Metric == "http.server.request.duration").Select(point => point.Attributes["http.route"]));
    }

    /// <summary>Statements of the sweeper and of the watch come every few seconds, with or without requests.</summary>
    [PostgresFact]
    public async Task StatementsInTheDatabase_AreTraced_WhereTheyBelongToARequest()
    {
        await using var database = await PostgresServer.NewDatabaseAsync();
        await using var traced = await TracedGateway.StartAsync([.. Http, .. AtTheEnd], GatewayConfig.Postgres(database.ConnectionString));
        await traced.SendAsync("/orders");
        await traced.Gateway.TerminateAsync();

        var statements = traced.Collector.Spans.Where(span => span.Scope == "Npgsql").ToList();
        Assert.NotEmpty(statements);
        Assert.All(statements, statement => Assert.NotEqual("", statement.ParentId));
    }

    public static TheoryData<string, bool, bool, bool> Variables => new()
    {
        // What is set, and whether traces, metrics and log lines are sent.
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", true, true, false },
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP OTEL_TRACES_EXPORTER=none", false, true, false },
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP OTEL_METRICS_EXPORTER=none", true, false, false },
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP OTEL_METRICS_EXPORTER=none OTEL_TRACES_EXPORTER=none OTEL_LOGS_EXPORTER=otlp", false, false, true },
        { "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTP/v1/traces", true, false, false },
        { "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=HTTP/v1/metrics", false, true, false },
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP OTEL_SDK_DISABLED=true", false, false, false },
        { "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP OTEL_TRACES_SAMPLER=always_off", false, true, false },
    };

    [Theory]
    [MemberData(nameof(Variables))]
    public async Task WhatIsSent_IsWhatTheVariablesSay(string variables, bool traces, bool metrics, bool lines)
    {
        await using var traced = await TracedGateway.StartAsync(
            [.. variables.Split(' ').Select(variable => variable.Split('=')).Select(parts => (parts[0], parts[1])), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), .. AtTheEnd]);

        var arrival = await traced.SendAsync("/orders", TracedGateway.Context);
        await traced.Backend.StopAsync();
        await traced.GetAsync($"{traced.Gateway.Url}/orders"); // YARP warns
        await traced.Gateway.TerminateAsync();

        var isPassedOn = !traces && !variables.Contains("SAMPLER", StringComparison.Ordinal);
        Assert.Equal(isPassedOn, arrival.Header("traceparent") == TracedGateway.Context[0].Value);
        Assert.Equal((traces, metrics, lines), (traced.Collector.Spans.Count > 0, traced.Collector.Points.Count > 0, traced.Collector.Lines.Count > 0));
    }

    [Fact]
    public async Task TheServicesName_IsTheUsers()
    {
        await using var traced = await TracedGateway.StartAsync(
            [.. Http, .. AtTheEnd, ("OTEL_RESOURCE_ATTRIBUTES", "service.name=overruled,deployment.environment.name=test"), ("OTEL_SERVICE_NAME", "front door")]);
        await traced.SendAsync("/orders");
        await traced.Gateway.TerminateAsync();

        Assert.All(traced.Collector.Spans, span => Assert.Equal("front door", span.Service));
        Assert.All(traced.Collector.Points, point => Assert.Equal("front door", point.Service));
        Assert.NotEmpty(traced.Collector.Points);
    }

    [Fact]
    public async Task AnAddressThatIsNone_IsNamedAtTheStart_AndStopsNothing()
    {
        await using var traced = await TracedGateway.StartAsync([("OTEL_EXPORTER_OTLP_ENDPOINT", "user:S3cr3t@collector:4317"), ("OTEL_TRACES_EXPORTER", "otlp,zipkin")]);

        var arrival = await traced.SendAsync("/orders", TracedGateway.Context);

        Assert.Equal(TracedGateway.Context[0].Value, arrival.Header("traceparent"));
        Assert.Contains(traced.Gateway.Output, line => line.Contains("[4000]", StringComparison.Ordinal) && line.Contains("OTEL_EXPORTER_OTLP_ENDPOINT is not an address", StringComparison.Ordinal));
        Assert.Contains(traced.Gateway.Output, line => line.Contains("[4000]", StringComparison.Ordinal) && line.Contains("OTEL_TRACES_EXPORTER", StringComparison.Ordinal));
        Assert.DoesNotContain(traced.Gateway.Output, line => line.Contains("S3cr3t", StringComparison.Ordinal));
    }

    private static (string Version, string Trace, string Span, string Flags) Parts(Arrival arrival) =>
        arrival.Header("traceparent")!.Split('-') is [var version, var trace, var span, var flags] ? (version, trace, span, flags) : default;
}
