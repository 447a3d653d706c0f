using Gateway.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Gateway.Configuration;

/// <summary>
/// Reads the section <c>ReverseProxy</c> with YARP's own parser and validators, in a container of their own, and adds what YARP lets
/// pass: keys that it does not know, and routes that point to nothing.
/// </summary>
internal static class ProxyReader
{
    public const string Section = "ReverseProxy";

    public static (IReadOnlyList<RouteConfig> Routes, IReadOnlyList<ClusterConfig> Clusters) Read(IConfigurationSection section, ConfigurationErrors errors)
    {
        foreach (var child in section.GetChildren())
        {
            switch (child.Key)
            {
                case "Routes":
                    KnownKeys.Check(child, typeof(IReadOnlyDictionary<string, RouteConfig>), errors);
                    break;
                case "Clusters":
                    KnownKeys.Check(child, typeof(IReadOnlyDictionary<string, ClusterConfig>), errors);
                    break;
                default:
                    errors.Add(child.Path, null, "unknown setting; known here: Routes, Clusters");
                    break;
            }
        }

        var services = new ServiceCollection();
        services.AddLogging().AddRouting().AddAuthorization().AddCors().AddReverseProxy().LoadFromConfig(section);
        using var provider = services.BuildServiceProvider();
        try
        {
            var config = provider.GetRequiredService<IProxyConfigProvider>().GetConfig();
            Validate(config, provider.GetRequiredService<IConfigValidator>(), errors);
            return (config.Routes, config.Clusters);
        }
        catch (Exception e) when (e is FormatException or ArgumentException or InvalidOperationException)
        {
            errors.Add(Section, null, e.Message);
            return ([], []);
        }
    }

    /// <summary>Checks what routes say about policies.</summary>
    public static void CheckPolicies(IReadOnlyList<RouteConfig> routes, IReadOnlyDictionary<string, IdempotencyPolicy> policies, ConfigurationErrors errors)
    {
        var used = new HashSet<string>();
        foreach (var route in routes)
        {
            var path = $"{Section}:Routes:{route.RouteId}:Metadata:{GatewaySettings.MetadataKey}";
            if (route.Metadata is null || !route.Metadata.TryGetValue(GatewaySettings.MetadataKey, out var name))
            {
                continue;
            }

            used.Add(name);
            if (!policies.TryGetValue(name, out var policy))
            {
                errors.Add(path, name, $"the name of a policy: {string.Join(", ", policies.Keys)}");
            }
            else if (route.Match.Methods is { Count: > 0 } methods && !methods.Any(policy.Covers))
            {
                errors.Warn(path, $"the route matches {string.Join(", ", methods)} only, and policy {name} covers {string.Join(", ", policy.Methods)}: it protects nothing");
            }
        }

        foreach (var name in policies.Keys.Where(name => name != IdempotencyPolicy.DefaultName && !used.Contains(name)))
        {
            errors.Warn($"Idempotency:Policies:{name}", "no route uses this policy");
        }
    }

    private static void Validate(IProxyConfig config, IConfigValidator validator, ConfigurationErrors errors)
    {
        foreach (var route in config.Routes)
        {
            var path = $"{Section}:Routes:{route.RouteId}";
            Report(path, validator.ValidateRouteAsync(route).AsTask().GetAwaiter().GetResult(), errors);
            if (route.ClusterId is null || !config.Clusters.Any(cluster => cluster.ClusterId.Equals(route.ClusterId, StringComparison.OrdinalIgnoreCase)))
            {
                errors.Add($"{path}:ClusterId", route.ClusterId, $"the name of a cluster: {string.Join(", ", config.Clusters.Select(cluster => cluster.ClusterId))}");
            }
        }

        foreach (var cluster in config.Clusters)
        {
            Report($"{Section}:Clusters:{cluster.ClusterId}", validator.ValidateClusterAsync(cluster).AsTask().GetAwaiter().GetResult(), errors);
            foreach (var (name, destination) in cluster.Destinations ?? new Dictionary<string, DestinationConfig>())
            {
                if (!Uri.TryCreate(destination.Address, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https"))
                {
                    errors.Add($"{Section}:Clusters:{cluster.ClusterId}:Destinations:{name}:Address", destination.Address, "an address such as http://10.0.0.1:8080/");
                }
            }
        }
    }

    private static void Report(string path, IList<Exception> problems, ConfigurationErrors errors)
    {
        foreach (var problem in problems)
        {
            errors.Add(path, null, problem.Message);
        }
    }
}
