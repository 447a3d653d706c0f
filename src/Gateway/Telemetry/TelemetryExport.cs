using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Gateway.Telemetry;

/// <summary>
/// Sends metrics and traces by OTLP when OTEL_EXPORTER_OTLP_ENDPOINT says where to; OpenTelemetry's other variables apply as usual.
/// Traces are the framework's own (server request, YARP, outgoing request).
/// </summary>
internal sealed class TelemetryExport : IHostedService, IDisposable
{
    private MeterProvider? _meters;
    private TracerProvider? _traces;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable("OTEL_EXPORTER_OTLP_ENDPOINT")))
        {
            var resource = ResourceBuilder.CreateDefault().AddService("idempotency-gateway").AddEnvironmentVariableDetector();
            _meters = Sdk.CreateMeterProviderBuilder()
                .SetResourceBuilder(resource)
                .AddMeter(GatewayMetrics.MeterName, "Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "System.Net.Http", "System.Runtime")
                .AddOtlpExporter()
                .Build();
            _traces = Sdk.CreateTracerProviderBuilder()
                .SetResourceBuilder(resource)
                .AddSource("Microsoft.AspNetCore", "Yarp.ReverseProxy", "System.Net.Http")
                .AddOtlpExporter()
                .Build();
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Flushes what was not sent yet.</summary>
    public void Dispose()
    {
        _meters?.Dispose();
        _traces?.Dispose();
    }
}
