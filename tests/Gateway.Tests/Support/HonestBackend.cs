using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Gateway.Tests.Support;

/// <summary>
/// A backend that does at once what it is asked, knows nothing of idempotency, and tells the truth when it is asked whether it has done
/// something: <c>GET /status/KEY</c> is 200 or 404. In clear, and behind TLS, whose handshake a test can hold back or make slow.
/// </summary>
internal sealed class HonestBackend : IAsyncDisposable
{
    private readonly TimeSpan _handshake;
    private readonly Stopwatch _clock;
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly int _tlsPort = LoopbackPorts.Reserve();
    private readonly ConcurrentDictionary<string, int> _executions = new();
    private readonly ConcurrentQueue<HonestExecution> _history = new();
    private readonly ConcurrentDictionary<string, int> _running = new();
    private readonly ConcurrentDictionary<string, SyncPoint> _held = new();
    private readonly WebApplication _app;

    private HonestBackend(X509Certificate2 certificate, TimeSpan handshake, Stopwatch clock)
    {
        (_handshake, _clock) = (handshake, clock);
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.Zero);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MinRequestBodyDataRate = null; // a body may stop half-way
            kestrel.Listen(IPAddress.Loopback, _port, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, _tlsPort, listen =>
            {
                listen.Protocols = HttpProtocols.Http1AndHttp2;
                listen.UseHttps(
                    async (_, _, _, cancellation) =>
                    {
                        await Task.Delay(handshake, cancellation);
                        return new SslServerAuthenticationOptions { ServerCertificate = certificate };
                    },
                    state: null!);
            });
        });
        _app = builder.Build();
        _app.Run(ReceiveAsync);
    }

    public string Url => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_port}");

    /// <summary><c>host:port</c> of the one behind TLS, for a proxy in between.</summary>
    public string TlsEndpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_tlsPort}");

    /// <summary>The keys of what was executed, in order.</summary>
    public Ledger<string> Ledger { get; } = new();

    /// <summary>How often a request came while another one to the same path was being worked on.</summary>
    public int Overlaps => _history.Count(execution => execution.Overlaps);

    /// <summary>All that was executed.</summary>
    public IReadOnlyCollection<HonestExecution> History => _history;

    /// <summary>Keys that were executed more than once, with how often.</summary>
    public IReadOnlyDictionary<string, int> Repeated => _executions.Where(entry => entry.Value > 1).ToDictionary();

    /// <param name="handshake">
    /// How long the handshake of TLS takes, and half of it the work; unless it is nothing, every request needs a connection of its own. So a request is
    /// most of its time between a gateway's decision and its first byte.
    /// </param>
    /// <param name="clock">Tells when something was executed; null for one that begins now.</param>
    public static async Task<HonestBackend> StartAsync(TimeSpan handshake = default, Stopwatch? clock = null)
    {
        using var key = ECDsa.Create();
        var request = new CertificateRequest("CN=honest.example", key, HashAlgorithmName.SHA256);
        using var certificate = request.CreateSelfSigned(DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch.AddYears(200));
        var backend = new HonestBackend(X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null), handshake, clock ?? Stopwatch.StartNew());
        await Starting.OrDisposedAsync(backend, () => backend._app.StartAsync());
        return backend;
    }

    public int ExecutionsOf(string key) => _executions.GetValueOrDefault(key);

    /// <summary>From now on requests to this path are executed, and answered when the returned point is released.</summary>
    public SyncPoint HoldAt(string path) => _held[path] = new SyncPoint();

    public async ValueTask DisposeAsync()
    {
        foreach (var held in _held.Values)
        {
            held.Release();
        }

        await _app.StopAsync();
        await _app.DisposeAsync();
    }

    private async Task ReceiveAsync(HttpContext context)
    {
        if (_handshake > TimeSpan.Zero)
        {
            context.Response.Headers.Connection = "close";
        }

        var path = context.Request.Path.Value!;
        if (HttpMethods.IsGet(context.Request.Method))
        {
            var isDone = _executions.ContainsKey(path.Split('/')[^1]);
            context.Response.StatusCode = isDone ? StatusCodes.Status200OK : StatusCodes.Status404NotFound;
            await context.Response.WriteAsJsonAsync(new { isDone });
            return;
        }

        await context.Request.Body.CopyToAsync(Stream.Null);
        var headers = context.Request.Headers;
        var key = headers["X-Operation"].ToString();
        var attempt = headers["Idempotency-Attempt"] is [{ } number] ? int.Parse(number, CultureInfo.InvariantCulture) : 1;
        var overlaps = _running.AddOrUpdate(path, 1, (_, count) => count + 1) > 1;
        _history.Enqueue(new HonestExecution(path, key, attempt, headers["X-Gateway"].ToString(), _clock.Elapsed, overlaps));
        _executions.AddOrUpdate(key, 1, (_, count) => count + 1);
        Ledger.Add(key);
        if (_held.TryGetValue(path, out var held))
        {
            await held.Released;
        }

        await Task.Delay(_handshake / 2);
        _running.AddOrUpdate(path, 0, (_, count) => count - 1);
        context.Response.StatusCode = StatusCodes.Status201Created;
        await context.Response.WriteAsJsonAsync(new { execution = Guid.NewGuid() });
    }
}
