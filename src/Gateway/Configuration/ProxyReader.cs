using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>
/// Reads the section <c>ReverseProxy</c> with YARP's own parser and validators, in a container of their own, and adds what YARP lets
/// pass: keys that it does not know, and routes that point to nothing.
/// </summary>
internal static class ProxyReader
{
    public const string Section = "ReverseProxy";

    /// <summary>YARP's names for the two policies that need no definition.</summary>
    private const string AuthenticatedPolicy = "Default";
    private const string AnonymousPolicy = "Anonymous";

    /// <summary>As in <c>BackendClientFactory</c>.</summary>
    private static readonly TimeSpan BackendConnectTimeout = TimeSpan.FromSeconds(5);

    public static (IReadOnlyList<RouteConfig> Routes, IReadOnlyList<ClusterConfig> Clusters) Read(IConfigurationSection section, ConfigurationErrors errors)
    {
        CheckKeys(section, errors, withValues: false);
        var services = new ServiceCollection();
        services.AddLogging().AddRouting().AddAuthorization().AddCors().AddReverseProxy().LoadFromConfig(section);
        using var provider = services.BuildServiceProvider();
        try
        {
            var config = provider.GetRequiredService<IProxyConfigProvider>().GetConfig();
            Validate(config, provider.GetRequiredService<IConfigValidator>(), errors);
            return (config.Routes, config.Clusters);
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException or OverflowException)
        {
            // YARP stops at the first value that it cannot convert, and does not say where it stands.
            var before = errors.Errors.Count;
            CheckKeys(section, errors, withValues: true);
            if (errors.Errors.Count == before)
            {
                errors.Add(Section, null, SafeText.OfMessage(e.Message));
            }

            return ([], []);
        }
    }

    /// <summary>Checks who must be authenticated, and that somebody authenticates them.</summary>
    public static void CheckAuthentication(
        IReadOnlyList<RouteConfig> routes, IReadOnlyDictionary<string, IdempotencyPolicy> policies, JwtSettings? jwt, ConfigurationErrors errors)
    {
        foreach (var route in routes)
        {
            var path = $"{Section}:Routes:{route.RouteId}:AuthorizationPolicy";
            var needsToken = AuthenticatedPolicy.Equals(route.AuthorizationPolicy, StringComparison.OrdinalIgnoreCase);
            if (route.AuthorizationPolicy is not null && !needsToken && !AnonymousPolicy.Equals(route.AuthorizationPolicy, StringComparison.OrdinalIgnoreCase))
            {
                errors.Add(path, route.AuthorizationPolicy, $"{AuthenticatedPolicy} (a valid token) or {AnonymousPolicy}");
            }
            else if (needsToken && jwt is null)
            {
                errors.Add(path, route.AuthorizationPolicy, "a section Authentication:Jwt that says how tokens are validated");
            }

            if (!needsToken && RoutePolicy.NameOf(route) is { } name && policies.TryGetValue(name, out var policy) && policy.NeedsAuthentication)
            {
                errors.Add(path, route.AuthorizationPolicy, $"{(route.AuthorizationPolicy is null ? "expected " : "")}{AuthenticatedPolicy}, because policy {policy.Name} takes a claim from the token");
            }
        }
    }

    private static void CheckKeys(IConfigurationSection section, ConfigurationErrors errors, bool withValues)
    {
        foreach (var child in section.GetChildren())
        {
            switch (child.Key.ToUpperInvariant())
            {
                case "ROUTES":
                    KnownKeys.Check(child, typeof(IReadOnlyDictionary<string, RouteConfig>), errors, withValues);
                    break;
                case "CLUSTERS":
                    KnownKeys.Check(child, typeof(IReadOnlyDictionary<string, ClusterConfig>), errors, withValues);
                    break;
                default:
                    errors.Add(child.Path, null, "unknown setting; known here: Routes, Clusters");
                    break;
            }
        }
    }

    private static void Validate(IProxyConfig config, IConfigValidator validator, ConfigurationErrors errors)
    {
        foreach (var route in config.Routes)
        {
            var path = $"{Section}:Routes:{route.RouteId}";
            RejectMiddleware(path, route, errors);
            WarnOfMisspelling(path, route, errors);
            Report(path, validator.ValidateRouteAsync(route).AsTask().GetAwaiter().GetResult(), errors);
            if (route.ClusterId is null || !config.Clusters.Any(cluster => cluster.ClusterId.Equals(route.ClusterId, StringComparison.OrdinalIgnoreCase)))
            {
                errors.Add($"{path}:ClusterId", route.ClusterId ?? "", $"the name of a cluster: {Suggestion.Among([.. config.Clusters.Select(cluster => cluster.ClusterId)], route.ClusterId ?? "")}");
            }
        }

        foreach (var cluster in config.Clusters)
        {
            if (cluster.HttpRequest?.ActivityTimeout <= BackendConnectTimeout)
            {
                errors.Warn(
                    $"{Section}:Clusters:{cluster.ClusterId}:HttpRequest:ActivityTimeout",
                    $"is not longer than the {BackendConnectTimeout.TotalSeconds:0} s that connecting may take: a backend that cannot be reached leaves keys uncertain");
            }

            if (cluster.Destinations is null or { Count: 0 })
            {
                errors.Warn($"{Section}:Clusters:{cluster.ClusterId}:Destinations", "the cluster has no destination; its requests are answered with an error");
            }

            RejectUserInfo($"{Section}:Clusters:{cluster.ClusterId}:HttpClient:WebProxy:Address", cluster.HttpClient?.WebProxy?.Address?.ToString(), errors);
            Report($"{Section}:Clusters:{cluster.ClusterId}", validator.ValidateClusterAsync(cluster).AsTask().GetAwaiter().GetResult(), errors);
            foreach (var (name, destination) in cluster.Destinations ?? new Dictionary<string, DestinationConfig>())
            {
                // YARP itself reports a missing address.
                var path = $"{Section}:Clusters:{cluster.ClusterId}:Destinations:{name}";
                if (!string.IsNullOrEmpty(destination.Address) && (!Uri.TryCreate(destination.Address, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https")))
                {
                    errors.Add($"{path}:Address", SafeText.OfAddress(destination.Address), "an address such as http://10.0.0.1:8080/");
                }

                RejectUserInfo($"{path}:Address", destination.Address, errors);
                RejectUserInfo($"{path}:Health", destination.Health, errors);
            }
        }
    }

    /// <summary>A user and a password in an address are not sent, and every log line about the backend would show them.</summary>
    private static void RejectUserInfo(string path, string? address, ConfigurationErrors errors)
    {
        if (Uri.TryCreate(address, UriKind.Absolute, out var uri) && uri.UserInfo.Length > 0)
        {
            errors.Add(path, null, "expected an address without user and password, which would not be sent; set the field Authorization by a transform");
        }
    }

    /// <summary>YARP answers 500 to every request of a route that names a middleware which does not run.</summary>
    private static void RejectMiddleware(string path, RouteConfig route, ConfigurationErrors errors)
    {
        (string Key, string? Value)[] served =
        [
            ("CorsPolicy", route.CorsPolicy), ("RateLimiterPolicy", route.RateLimiterPolicy),
            ("TimeoutPolicy", route.TimeoutPolicy), ("Timeout", route.Timeout?.ToString("c")),
        ];
        foreach (var (key, value) in served)
        {
            if (value is not null)
            {
                errors.Add($"{path}:{key}", null, "not supported yet; remove it");
            }
        }
    }

    private static void WarnOfMisspelling(string path, RouteConfig route, ConfigurationErrors errors)
    {
        foreach (var key in route.Metadata?.Keys ?? [])
        {
            if (key.StartsWith("Idem", StringComparison.OrdinalIgnoreCase) && !key.Equals(RoutePolicy.MetadataKey, StringComparison.OrdinalIgnoreCase))
            {
                errors.Warn($"{path}:Metadata:{key}", $"has no meaning here; a policy is chosen by {RoutePolicy.MetadataKey}");
            }
        }
    }

    private static void Report(string path, IList<Exception> problems, ConfigurationErrors errors)
    {
        foreach (var problem in problems)
        {
            errors.Add(path, null, SafeText.OfMessage(problem.Message));
        }
    }
}
