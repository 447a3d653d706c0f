using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Text;
using Gateway.Configuration;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;

namespace Gateway.Tests.Configuration;

/// <summary>Settings as stable text, for golden files. Of a policy, only what differs from the defaults; new settings appear by themselves.</summary>
internal static class SettingsText
{
    public static string Of(GatewaySettings settings)
    {
        var text = new StringBuilder();
        Append(text, "Store", settings.Store);
        Append(text, "Admin", settings.Admin);
        Append(text, "Limits", settings.Idempotency.Limits);
        if (settings.ForwardedHeaders is { TrustedNetworks.Count: > 0 } forwarded)
        {
            text.Append(CultureInfo.InvariantCulture, $"ForwardedHeaders: {forwarded}\n");
        }

        if (settings.Jwt is { } jwt)
        {
            Append(text, "Authentication:Jwt", jwt);
        }

        Append(text, "Idempotency:NearCopy", settings.Idempotency.NearCopy);
        text.Append(CultureInfo.InvariantCulture, $"Encryption: {settings.Idempotency.Encryption?.ToString() ?? "none"}\n");
        text.Append("Secret: ").Append(settings.Idempotency.Secret is null ? "kept by the store" : "configured").Append('\n');
        text.Append(CultureInfo.InvariantCulture, $"ShutdownGrace: {settings.ShutdownGrace}\n");
        foreach (var item in settings.Policies.Values)
        {
            text.Append("Policy ").Append(item.Name).Append('\n');
            AppendDifferences(text, item);
        }

        foreach (var route in settings.Routes)
        {
            var policy = settings.PolicyOf(route)?.Name ?? "none";
            text.Append(CultureInfo.InvariantCulture, $"Route {route.RouteId}: {route.Match.Path} -> {route.ClusterId}, policy {policy}\n");
        }

        foreach (var cluster in settings.Clusters)
        {
            var addresses = cluster.Destinations?.Values.Select(destination => destination.Address) ?? [];
            text.Append(CultureInfo.InvariantCulture, $"Cluster {cluster.ClusterId}: {string.Join(", ", addresses)}\n");
        }

        foreach (var warning in settings.Warnings)
        {
            text.Append("Warning: ").Append(warning).Append('\n');
        }

        return text.ToString();
    }

    public static string Of(ConfigurationErrors errors) => string.Concat(errors.Errors.Select(error => $"Error: {error}\n"));

    private static void Append(StringBuilder text, string path, object section)
    {
        foreach (var property in Properties(section))
        {
            var value = property.GetValue(section);
            if (value?.GetType() is { IsClass: true } type && type != typeof(string))
            {
                Append(text, $"{path}:{property.Name}", value);
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $"{path}:{property.Name}: {ValueText(value)}\n");
            }
        }
    }

    private static void AppendDifferences(StringBuilder text, IdempotencyPolicy policy)
    {
        var defaults = new IdempotencyPolicy { Name = policy.Name };
        foreach (var property in Properties(policy))
        {
            var value = ValueText(property.GetValue(policy));
            if (value != ValueText(property.GetValue(defaults)))
            {
                text.Append(CultureInfo.InvariantCulture, $"  {property.Name}: {value}\n");
            }
        }
    }

    private static PropertyInfo[] Properties(object value) => value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance);

    private static string ValueText(object? value) => value switch
    {
        null => "none",
        string text => text,
        IEnumerable list => $"[{string.Join(", ", list.Cast<object>())}]",
        ProbePolicy or ProbeMatch or LockPolicy => string.Join(", ", Properties(value).Select(property => $"{property.Name} {ValueText(property.GetValue(value))}")),
        _ => string.Create(CultureInfo.InvariantCulture, $"{value}"),
    };
}
