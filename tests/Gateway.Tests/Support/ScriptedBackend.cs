using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Gateway.Tests.Support;

/// <summary>
/// An unmodified backend on a real Kestrel whose <see cref="Ledger"/> is the witness of every end-to-end test: what it does
/// not list was not executed, what it lists twice was executed twice. Each execution answers with a body of its own, so
/// that a replay cannot be mistaken for a second execution.
/// </summary>
public sealed class ScriptedBackend : IAsyncDisposable
{
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly int _http2Port = LoopbackPorts.Reserve();
    private volatile SyncPoint? _hold;
    private WebApplication? _app;
    private int _executions;
    private int _cutRequests;

    private ScriptedBackend()
    {
        Handler = AnswerCreatedAsync;
    }

    public Ledger<Arrival> Ledger { get; } = new();

    /// <summary>Answers a request that was entered in the ledger. The body is still there to be read.</summary>
    public Func<HttpContext, Task> Handler { get; set; }

    /// <summary>Requests that ended before their body did, and therefore never reached the ledger.</summary>
    public int CutRequests => Volatile.Read(ref _cutRequests);

    /// <summary>For HTTP/1.1, without a trailing slash.</summary>
    public string Url => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_port}");

    /// <summary>For HTTP/2 without TLS (h2c, prior knowledge).</summary>
    public string Http2Url => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_http2Port}");

    /// <param name="handler">Instead of <see cref="AnswerCreatedAsync"/>.</param>
    public static async Task<ScriptedBackend> StartAsync(Func<HttpContext, Task>? handler = null)
    {
        var backend = new ScriptedBackend();
        backend.Handler = handler ?? backend.Handler;
        await backend.StartAgainAsync();
        return backend;
    }

    /// <summary>After <see cref="StopAsync"/>: listens on the same ports again; ledger and handler are kept.</summary>
    public async Task StartAgainAsync()
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.Zero);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Listen(IPAddress.Loopback, _port, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, _http2Port, listen => listen.Protocols = HttpProtocols.Http2);
        });
        _app = builder.Build();
        _app.Run(ReceiveAsync);
        await _app.StartAsync();
    }

    /// <summary>The backend goes down: running requests lose their connection, connects are refused.</summary>
    public async Task StopAsync()
    {
        if (_app is { } app)
        {
            _app = null;
            await app.StopAsync();
            await app.DisposeAsync();
        }
    }

    /// <summary>From now on requests are entered in the ledger and then wait until the returned point is released.</summary>
    public SyncPoint Hold() => _hold = new SyncPoint();

    /// <summary>The arrivals so far, as soon as there are at least <paramref name="count"/>.</summary>
    public Task<IReadOnlyList<Arrival>> WaitForArrivalsAsync(int count) => Ledger.WaitForCountAsync(count);

    public IReadOnlyList<Arrival> ArrivalsFor(string key) => [.. Ledger.Where(arrival => arrival.Key == key)];

    /// <summary>The default answer: 201 with a Location and a JSON body that no other execution has.</summary>
    public async Task AnswerCreatedAsync(HttpContext context)
    {
        var execution = Interlocked.Increment(ref _executions);
        context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.Headers.Location = string.Create(CultureInfo.InvariantCulture, $"/executions/{execution}");
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync($$"""{"execution":{{execution}},"id":"{{Guid.NewGuid():N}}"}""");
    }

    public async ValueTask DisposeAsync()
    {
        _hold?.Release();
        await StopAsync();
    }

    private async Task ReceiveAsync(HttpContext context)
    {
        using var body = new MemoryStream();
        try
        {
            await context.Request.Body.CopyToAsync(body);
        }
        catch (Exception cut) when (cut is IOException or OperationCanceledException)
        {
            Interlocked.Increment(ref _cutRequests);
            return;
        }

        Ledger.Add(Arrival.Of(context, body.ToArray()));
        body.Position = 0;
        context.Request.Body = body;
        if (_hold is { } hold)
        {
            // Not tied to the client: a legacy backend goes on when its caller hangs up.
            await hold.Released;
        }

        await Handler(context);
    }
}
