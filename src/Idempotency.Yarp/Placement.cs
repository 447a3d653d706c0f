using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp;

/// <summary>Whether the host has put together what a guarded route needs; if not, it does not start.</summary>
/// <param name="services">All of them.</param>
internal sealed class Placement(IServiceProvider services)
{
    private bool _isUsed;

    /// <summary>The pipeline of YARP gets the middleware.</summary>
    /// <exception cref="InvalidOperationException">Something is missing, or there twice; the message says what to do.</exception>
    public void Use()
    {
        if (_isUsed)
        {
            throw new InvalidOperationException("UseIdempotency was called twice: YARP has one pipeline, that of the last MapReverseProxy; keep one of each.");
        }

        if (services.GetService<IServiceProviderIsService>()?.IsService(typeof(IIdempotencyStore)) is false)
        {
            throw new InvalidOperationException("AddIdempotency has no store: add .UseSqlite(...), .UseRedis(...) or .UsePostgres(...) to it.");
        }

        if (services.GetRequiredService<IHttpForwarder>() is { } forwarder and not WatchedForwarder)
        {
            throw new InvalidOperationException($"{forwarder.GetType()} was registered after AddIdempotency, which has to see what is forwarded: register it before AddIdempotency, which wraps it.");
        }

        var factory = services.GetRequiredService<IForwarderHttpClientFactory>();
        if (factory is not BackendClientFactory)
        {
            throw new InvalidOperationException(
                $"{factory.GetType()} was registered after AddIdempotency, which has to see what the HTTP client sends: register it, or call ConfigureHttpClient, before AddIdempotency, which wraps it.");
        }

        _isUsed = true;
    }

    /// <summary>Why a route with a policy would not be protected; null when it is.</summary>
    public string? WhyNot(string route) => _isUsed ? null
        : $"The route {route} asks for an idempotency policy, and nothing in the pipeline of YARP applies it: write app.MapReverseProxy(proxy => {{ proxy.UseIdempotency(); ... }}), before session affinity and load balancing.";
}
