using System.Diagnostics;
using Gateway.Configuration;
using Idempotency.Storage;

namespace Gateway.Admin;

/// <summary>
/// Health, on a listener of its own, so that nothing of it can be reached through the proxied port. <c>/livez</c>: the process runs.
/// <c>/readyz</c>: the store answers; without it, keyed requests are refused and un-keyed routes still work.
/// </summary>
internal sealed class AdminServer(GatewaySettings settings, IIdempotencyStore store, LeaseKeeper leases, ILoggerFactory loggers) : IHostedService, IAsyncDisposable
{
    private WebApplication? _app;

    /// <summary>The addresses that it listens on.</summary>
    public IEnumerable<string> Urls => _app?.Urls ?? [];

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var builder = WebApplication.CreateEmptyBuilder(new());
        builder.WebHost.UseKestrelCore().UseUrls(settings.Admin.Urls);
        builder.Services.AddSingleton(loggers);
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(_ => new ActivitySource("Gateway.Admin")); // not the server's own, which is traced: probes are no requests
        _app = builder.Build();
        _app.MapGet("/livez", () => "ok").DisableHttpMetrics();
        _app.MapGet("/readyz", ReadyAsync).DisableHttpMetrics();
        await _app.StartAsync(cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => _app?.StopAsync(cancellationToken) ?? Task.CompletedTask;

    public ValueTask DisposeAsync() => _app?.DisposeAsync() ?? default;

    private async Task<IResult> ReadyAsync()
    {
        try
        {
            await store.PingAsync(CancellationToken.None);
            return TypedResults.Json(new { status = "ready", store = store.Description, openClaims = leases.Count });
        }
        catch (StoreUnavailableException e)
        {
            return TypedResults.Json(new { status = "store unavailable", store = store.Description, reason = e.Message }, statusCode: 503);
        }
    }
}
