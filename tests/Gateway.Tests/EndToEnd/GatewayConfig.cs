using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Gateway.Tests.EndToEnd;

/// <summary>Writes configuration files as users write them, so that a test says only what matters to it.</summary>
internal static class GatewayConfig
{
    /// <summary>Of each call of the store, where a test is not about the store's time: a shared machine may need more than the default second.</summary>
    private const string Patience = "00:00:05";

    private static readonly JsonSerializerOptions Options = new() { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    /// <summary>The section <c>Store</c> for a database in the gateway's working directory.</summary>
    public static object Embedded { get; } = new { Kind = "Embedded", Embedded = new { Path = "data/idempotency.db" } };

    /// <summary>The section <c>Store</c> for a Redis at <c>host:port</c>.</summary>
    public static object Redis(string endpoint) => new { Kind = "Redis", Redis = new { Configuration = endpoint } };

    /// <summary>The section <c>Store</c> for a database of a PostgreSQL server.</summary>
    /// <param name="connectionString">As it stands in the file.</param>
    public static object Postgres(string connectionString) => new { Kind = "Postgres", Postgres = new { ConnectionString = connectionString } };

    /// <param name="store">The section <c>Store</c>. Its timeout is the default where a policy names its lease, which is at least two timeouts, and longer elsewhere.</param>
    /// <param name="policies">The section <c>Idempotency:Policies</c>, any object that serialises to it.</param>
    public static string Write(object store, object policies, params IReadOnlyList<GatewayRoute> routes)
    {
        var (storeSection, policySection) = (JsonSerializer.SerializeToNode(store, Options)!, JsonSerializer.SerializeToNode(policies, Options)!);
        if (!policySection.AsObject().Any(policy => policy.Value!["Lease"] is not null))
        {
            storeSection["Timeout"] ??= Patience;
        }

        return Write(storeSection, policySection, routes);
    }

    private static string Write(JsonNode store, JsonNode policies, IReadOnlyList<GatewayRoute> routes) => JsonSerializer.Serialize(
        new
        {
            Store = store,
            Idempotency = new { Policies = policies },
            ReverseProxy = new
            {
                Routes = routes.ToDictionary(route => route.Path, RouteSection),
                Clusters = routes.ToDictionary(route => route.Path, ClusterSection),
            },
        },
        Options);

    private static object RouteSection(GatewayRoute route) => new
    {
        ClusterId = route.Path,
        route.AuthorizationPolicy,
        Match = new { route.Path },
        route.Transforms,
        Metadata = route.Policy is null ? null : new { Idempotency = route.Policy },
    };

    private static object ClusterSection(GatewayRoute route) => new
    {
        HttpClient = route.AcceptsAnyCertificate ? new { DangerousAcceptAnyServerCertificate = true } : null,
        HttpRequest = new
        {
            ActivityTimeout = route.ActivityTimeout?.ToString("c"),
            Version = route.HttpVersion,
            VersionPolicy = route.HttpVersion is null ? null : "RequestVersionExact",
        },
        Destinations = new { one = new { Address = route.Backend, route.Host } },
    };
}
