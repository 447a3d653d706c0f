using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>What a collector is told of what happened: of each outcome as often as there was one.</summary>
[Collection(LoadCollection.Name)]
public sealed class MetricExportTests
{
    [Fact]
    public async Task EachOutcome_IsCountedByItsName()
    {
        await using var traced = await TracedGateway.StartAsync(
            [("OTEL_EXPORTER_OTLP_ENDPOINT", "GRPC"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_METRIC_EXPORT_INTERVAL", "600000")]);
        using var client = KeyedRequests.NewClient();
        var (recorded, uncertain) = (EmbeddedGateway.NewKey(), EmbeddedGateway.NewKey());
        Task<Answer> PostAsync(string? key, string body = "{}") => KeyedRequests.PostAsync(client, $"{traced.Gateway.Url}/orders", key, body);

        await PostAsync(recorded);
        await PostAsync(recorded);
        await PostAsync(recorded);
        await PostAsync(recorded, "another body");
        await PostAsync(null);
        await PostAsync("");
        traced.Backend.Handler = context => { context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable; return Task.CompletedTask; };
        await PostAsync(EmbeddedGateway.NewKey());
        traced.Backend.Handler = context => { context.Response.StatusCode = StatusCodes.Status502BadGateway; return Task.CompletedTask; };
        await PostAsync(uncertain);
        await PostAsync(uncertain);
        traced.Backend.Handler = context => context.Response.WriteAsync(new string('x', 2 * 1024 * 1024));
        await PostAsync(EmbeddedGateway.NewKey());
        await traced.Backend.StopAsync();
        await PostAsync(EmbeddedGateway.NewKey());
        await traced.Gateway.TerminateAsync();

        Assert.Equal(
            [
                "outcome=answer-not-kept policy=default: 1",
                "outcome=backend-unreachable policy=default: 1",
                "outcome=key-invalid policy=default: 1",
                "outcome=key-missing policy=default: 1",
                "outcome=key-reused policy=default: 1",
                "outcome=outcome-uncertain policy=default: 2",
                "outcome=recorded policy=default: 1",
                "outcome=released policy=default: 1",
                "outcome=replayed policy=default: 2",
            ],
            Named("gateway.idempotency.requests").Select(point => $"{point.Labels}: {point.Value}").Order(StringComparer.Ordinal));
        Assert.Equal("By", Assert.Single(Named("gateway.idempotency.buffered_bytes")).Unit);
        foreach (var framework in (string[])["http.server.request.duration", "kestrel.connection.duration", "http.client.request.duration", "dotnet.gc.collections"])
        {
            Assert.NotEmpty(Named(framework));
        }

        IEnumerable<OtlpPoint> Named(string metric) => traced.Collector.Points.Where(point => point.Metric == metric);
    }
}
