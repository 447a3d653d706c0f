using Gateway.Policies;
using Idempotency.Storage;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>A whole, valid configuration: what every other part of the gateway sees instead of <see cref="IConfiguration"/>.</summary>
internal sealed record GatewaySettings
{
    public required StoreSettings Store { get; init; }

    public required AdminSettings Admin { get; init; }

    /// <summary>The secret of record ids from <c>Idempotency:Secret</c>; null when the store keeps one.</summary>
    public required string? Secret { get; init; }

    public required LimitSettings Limits { get; init; }

    /// <summary>How tokens are validated; null when no route asks for any.</summary>
    public required JwtSettings? Jwt { get; init; }

    /// <summary>The key ring of recorded answers; null when they are stored as they are.</summary>
    public required EncryptionSettings? Encryption { get; init; }

    public required NearCopySettings NearCopy { get; init; }

    public required ForwardedHeadersSettings ForwardedHeaders { get; init; }

    /// <summary>
    /// How long requests in flight may go on after SIGTERM (<c>ShutdownGrace</c>). 25 seconds: below the 30 that Kubernetes grants.
    /// </summary>
    public TimeSpan ShutdownGrace { get; init; } = TimeSpan.FromSeconds(25);

    /// <summary>All policies by name, <c>default</c> included.</summary>
    public required IReadOnlyDictionary<string, IdempotencyPolicy> Policies { get; init; }

    public required IReadOnlyList<RouteConfig> Routes { get; init; }

    public required IReadOnlyList<ClusterConfig> Clusters { get; init; }

    public required IReadOnlyList<string> Warnings { get; init; }

    /// <summary>What is read at start only, to see whether a reload would have changed it.</summary>
    public object OfTheProcess => (Store, Admin, Secret, ShutdownGrace, Limits, Jwt, Encryption?.ToString(), NearCopy, ForwardedHeaders.ToString());

    /// <summary>The policy that a route's metadata opts into, as it is on this route, or null.</summary>
    public IdempotencyPolicy? PolicyOf(RouteConfig route) =>
        route.Metadata is not null && route.Metadata.TryGetValue(MetadataKey, out var name) && Policies.TryGetValue(name, out var policy)
            ? policy with { FingerprintHost = DecidesByHost(route) }
            : null;

    /// <summary>The one line of a route's metadata that makes it idempotent.</summary>
    public const string MetadataKey = "Idempotency";

    /// <summary>The route matches on hosts, or lets the backend see the client's own.</summary>
    private static bool DecidesByHost(RouteConfig route) =>
        route.Match.Hosts is { Count: > 0 }
        || route.Match.Headers?.Any(header => header.Name.Equals("Host", StringComparison.OrdinalIgnoreCase)) is true
        || route.Transforms?.Any(transform => transform.Any(item =>
            item.Key.Equals("RequestHeaderOriginalHost", StringComparison.OrdinalIgnoreCase) && bool.TryParse(item.Value, out var isOn) && isOn)) is true;
}
