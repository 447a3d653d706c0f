using System.Diagnostics;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry;
using OpenTelemetry.Trace;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>
/// A backend that traces by OpenTelemetry's SDK with its default sampler, which believes the caller's word on whether a trace is recorded. It goes on
/// tracing behind the gateway. Alone, because the SDK listens to every server of this process.
/// </summary>
[Collection(LoadCollection.Name)]
public sealed class TracedBackendTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly Ledger<Activity> _spans = new();
    private WebApplication? _backend;

    private string BackendUrl => _backend!.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();

    public async Task InitializeAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddOpenTelemetry().WithTracing(tracing => tracing.AddAspNetCoreInstrumentation().AddProcessor(_ => new SimpleActivityExportProcessor(new KeptSpans(_spans))));
        _backend = builder.Build();
        _backend.Run(context => context.Response.WriteAsync("done"));
        await _backend.StartAsync();
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_backend?.DisposeAsync() ?? default);
    }

    [Theory]
    [InlineData("/orders")]
    [InlineData("/plain")]
    public async Task WithoutAnExporter_ItsSpansAreTheClients_OrBeginATrace(string route)
    {
        await using var gateway = await StartAsync(new Dictionary<string, string>());

        await PostAsync(gateway, $"{route}/traced", [new("traceparent", $"00-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-01")]);
        await PostAsync(gateway, $"{route}/untraced", []);

        var traced = await SpanOfAsync($"{route}/traced");
        Assert.Equal((TracedGateway.TraceId, TracedGateway.ClientSpan), (traced.TraceId.ToHexString(), traced.ParentSpanId.ToHexString()));
        Assert.Equal(default, (await SpanOfAsync($"{route}/untraced")).ParentSpanId);
    }

    [Theory]
    [InlineData("/orders")]
    [InlineData("/plain")]
    public async Task WithAnExporter_TheGatewaysSpanIsTheParent_AndIsExported(string route)
    {
        await using var collector = await OtlpReceiver.StartAsync();
        await using var gateway = await StartAsync(new Dictionary<string, string> { ["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.GrpcUrl, ["OTEL_METRICS_EXPORTER"] = "none" });

        await PostAsync(gateway, $"{route}/traced", [new("traceparent", $"00-{TracedGateway.TraceId}-{TracedGateway.ClientSpan}-01")]);
        await PostAsync(gateway, $"{route}/untraced", []);
        await gateway.TerminateAsync();

        var (traced, untraced) = (await SpanOfAsync($"{route}/traced"), await SpanOfAsync($"{route}/untraced"));
        Assert.Equal(TracedGateway.TraceId, traced.TraceId.ToHexString());
        foreach (var span in (Activity[])[traced, untraced])
        {
            var parent = Assert.Single(collector.Spans, sent => sent.Id == span.ParentSpanId.ToHexString());
            Assert.Equal(("idempotency-gateway", span.TraceId.ToHexString()), (parent.Service, parent.TraceId));
        }
    }

    private Task<GatewayProcess> StartAsync(IReadOnlyDictionary<string, string> environment) => GatewayProcess.StartAsync(
        GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", BackendUrl), new GatewayRoute("/plain/{**rest}", BackendUrl, Policy: null)), environment);

    private async Task PostAsync(GatewayProcess gateway, string path, IEnumerable<KeyValuePair<string, string>> headers) =>
        Assert.Equal(200, (await KeyedRequests.PostAsync(_client, gateway.Url + path, EmbeddedGateway.NewKey(), headers: headers)).Status);

    private Task<Activity> SpanOfAsync(string path) => _spans.WaitForAsync(span => span.GetTagItem("url.path") as string == path);

    private sealed class KeptSpans(Ledger<Activity> spans) : BaseExporter<Activity>
    {
        public override ExportResult Export(in Batch<Activity> batch)
        {
            foreach (var span in batch)
            {
                spans.Add(span);
            }

            return ExportResult.Success;
        }
    }
}
