using System.Reflection;
using Idempotency.Yarp;
using OpenTelemetry;
using OpenTelemetry.Context.Propagation;
using OpenTelemetry.Logs;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace Gateway.Telemetry;

/// <summary>
/// Sends traces and metrics by OTLP when OpenTelemetry's variables say so (<see cref="ExportedSignals"/>); all its other variables apply as
/// usual. What is not sent is not collected: without an exporter nothing of this is in the process. What was not sent yet is sent when the
/// application is disposed.
/// </summary>
internal static class TelemetryExport
{
    private const string ServiceName = "idempotency-gateway";

    /// <param name="builder">Its configuration has the environment.</param>
    public static void AddTelemetryExport(this WebApplicationBuilder builder)
    {
        var signals = ExportedSignals.Read(builder.Configuration);
        builder.Services.AddSingleton(signals);
        if (!signals.Any)
        {
            return;
        }

        // Baggage passes as it came (Forwarding/SpanPropagator.cs); OpenTelemetry's default would write it anew.
        Sdk.SetDefaultTextMapPropagator(new TraceContextPropagator());

        // The environment after the name, so that OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        var telemetry = builder.Services.AddOpenTelemetry()
            .ConfigureResource(resource => resource.AddService(ServiceName, serviceVersion: Version).AddEnvironmentVariableDetector())
            .UseOtlpExporter(); // of all signals, because only this form reads each signal's own variables; what follows says which have any
        if (signals.Traces)
        {
            telemetry.WithTracing(traces => traces
                .AddAspNetCoreInstrumentation()
                .AddHttpClientInstrumentation()
                .AddSource("Yarp.ReverseProxy", StoreSpans.Source)
                .AddProcessor(new StoreSpans()));
        }

        if (signals.Metrics)
        {
            telemetry.WithMetrics(metrics => metrics
                .AddAspNetCoreInstrumentation()
                .AddHttpClientInstrumentation()
                .AddRuntimeInstrumentation()
                .AddMeter(IdempotencyMetrics.MeterName, StoreSpans.Source));
        }

        if (!signals.Logs)
        {
            builder.Logging.AddFilter<OpenTelemetryLoggerProvider>(null, LogLevel.None);
        }
    }

    /// <summary>To be called before anything asks who listens to spans: the clients of backends do when they are made.</summary>
    public static void StartTelemetryExport(this IServiceProvider services)
    {
        services.GetService<TracerProvider>();
        var logger = services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(TelemetryExport));
        foreach (var warning in services.GetRequiredService<ExportedSignals>().Warnings)
        {
            TelemetryLog.Doubtful(logger, warning);
        }
    }

    private static string Version =>
        typeof(TelemetryExport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
}
