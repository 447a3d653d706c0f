using System.Globalization;
using System.Net;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Gateway.Tests.Telemetry;

/// <summary>A collector for OTLP by gRPC and by HTTP with protobuf, on a real Kestrel.</summary>
public sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly int _grpcPort = LoopbackPorts.Reserve();
    private readonly int _httpPort = LoopbackPorts.Reserve();
    private WebApplication? _app;

    public Ledger<OtlpSpan> Spans { get; } = new();

    public Ledger<OtlpPoint> Points { get; } = new();

    /// <summary>The texts of log lines.</summary>
    public Ledger<string> Lines { get; } = new();

    public string GrpcUrl => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_grpcPort}");

    public string HttpUrl => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_httpPort}");

    public static async Task<OtlpReceiver> StartAsync()
    {
        var receiver = new OtlpReceiver();
        await receiver.ListenAsync();
        return receiver;
    }

    public async ValueTask DisposeAsync()
    {
        await _app!.StopAsync();
        await _app.DisposeAsync();
    }

    private async Task ListenAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, _grpcPort, listen => listen.Protocols = HttpProtocols.Http2);
            kestrel.Listen(IPAddress.Loopback, _httpPort, listen => listen.Protocols = HttpProtocols.Http1);
        });
        _app = builder.Build();
        _app.Run(ReceiveAsync);
        await _app.StartAsync();
    }

    private async Task ReceiveAsync(HttpContext context)
    {
        const int GrpcHead = 5; // one byte of flags, four of length
        using var body = new MemoryStream();
        await context.Request.Body.CopyToAsync(body);
        var isGrpc = context.Request.ContentType?.StartsWith("application/grpc", StringComparison.Ordinal) is true;
        var message = body.ToArray().AsMemory(isGrpc ? GrpcHead : 0);
        switch (context.Request.Path.Value)
        {
            case "/v1/traces" or "/opentelemetry.proto.collector.trace.v1.TraceService/Export":
                Add(Spans, OtlpMessages.Spans(message));
                break;
            case "/v1/metrics" or "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export":
                Add(Points, OtlpMessages.Points(message));
                break;
            case "/v1/logs" or "/opentelemetry.proto.collector.logs.v1.LogsService/Export":
                Add(Lines, OtlpMessages.Lines(message));
                break;
            default:
                context.Response.StatusCode = StatusCodes.Status404NotFound;
                return;
        }

        if (isGrpc)
        {
            context.Response.ContentType = "application/grpc";
            await context.Response.Body.WriteAsync(new byte[GrpcHead]); // an empty message
            context.Response.AppendTrailer("grpc-status", "0");
        }
        else
        {
            context.Response.ContentType = "application/x-protobuf";
        }
    }

    private static void Add<T>(Ledger<T> ledger, IEnumerable<T> received)
    {
        foreach (var one in received)
        {
            ledger.Add(one);
        }
    }
}
