using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>A whole, valid configuration: what every other part of the gateway sees instead of <see cref="IConfiguration"/>.</summary>
internal sealed record GatewaySettings
{
    public required StoreSettings Store { get; init; }

    public required AdminSettings Admin { get; init; }

    /// <summary>The sections <c>Idempotency</c> and <c>Limits</c>.</summary>
    public required IdempotencySettings Idempotency { get; init; }

    /// <summary>How tokens are validated; null when no route asks for any.</summary>
    public required JwtSettings? Jwt { get; init; }

    public required ForwardedHeadersSettings ForwardedHeaders { get; init; }

    /// <summary>
    /// How long requests in flight may go on after SIGTERM (<c>ShutdownGrace</c>). 25 seconds: below the 30 that Kubernetes grants.
    /// </summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(25);

    /// <summary>All policies by name, <c>default</c> included.</summary>
    public IReadOnlyDictionary<string, IdempotencyPolicy> Policies => Idempotency.Policies;

    public required IReadOnlyList<RouteConfig> Routes { get; init; }

    public required IReadOnlyList<ClusterConfig> Clusters { get; init; }

    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>What is read at start only, to see whether a reload would have changed it.</summary>
    public object OfTheProcess => (Store, Admin, Idempotency.Secret, ShutdownGrace, Idempotency.Limits, Jwt, Idempotency.Encryption?.ToString(), Idempotency.NearCopy, ForwardedHeaders.ToString());

    /// <summary>The policy that a route's metadata opts into, as it is on this route, or null.</summary>
    public IdempotencyPolicy? PolicyOf(RouteConfig route) => RoutePolicy.Of(route, Policies);
}
