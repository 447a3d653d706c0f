using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Gateway.Admin;
using Gateway.Configuration;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Policies;

namespace Gateway;

/// <summary>What the gateway says of itself at start, and what <c>check</c> prints.</summary>
internal static class Banner
{
    public static void Write(TextWriter output, WebApplication app, GatewaySettings settings)
    {
        var version = typeof(Banner).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];
        output.WriteLine($"Idempotency gateway {version} on {RuntimeInformation.FrameworkDescription}");
        output.WriteLine($"Store: {app.Services.GetRequiredService<IIdempotencyStore>().Description}");
        if (app.Services.GetService<AnswersServer>() is { } answers)
        {
            output.WriteLine($"Answers of {settings.Store.Answers.MinBytes} bytes and more: {answers.Description}");
        }

        WriteRoutes(output, settings);
        WriteWarnings(output, settings);
        output.WriteLine($"Health on {string.Join(", ", app.Services.GetRequiredService<AdminServer>().Urls)}");
        output.WriteLine($"Listening on {string.Join(", ", app.Urls)}");
        output.Flush();
    }

    /// <summary>A table of routes and their effective policies.</summary>
    public static void WriteRoutes(TextWriter output, GatewaySettings settings)
    {
        string[] head = ["Route", "Path", "Cluster", "Policy", "Methods", "Key", "Scope", "Retention", "Lease", "Store down"];
        var rows = settings.Routes.Select(route => settings.PolicyOf(route) is { } policy ? Row(route.RouteId, route.Match.Path, route.ClusterId, policy) : [route.RouteId, route.Match.Path ?? "/**", route.ClusterId ?? "-", "-", "", "", "", "", "", ""])
            .Prepend(head)
            .ToList();
        var widths = head.Select((_, column) => rows.Max(row => row[column].Length)).ToArray();
        foreach (var row in rows)
        {
            output.WriteLine(string.Join("  ", row.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
        }
    }

    public static void WriteWarnings(TextWriter output, GatewaySettings settings)
    {
        foreach (var warning in settings.Warnings)
        {
            output.WriteLine($"Warning: {warning}");
        }
    }

    /// <summary>The last line of a check that found no mistake.</summary>
    public static void WriteSum(TextWriter output, GatewaySettings settings)
    {
        var (all, guarded, warnings) = (settings.Routes.Count, settings.Routes.Count(route => settings.PolicyOf(route) is not null), settings.Warnings.Count);
        output.WriteLine($"OK: {Count(all, "route")}, {guarded} protected{(warnings == 0 ? "" : $", {Count(warnings, "warning")}")}");
    }

    /// <summary>A number and what is counted, in the plural where it is one.</summary>
    public static string Count(int number, string what) => $"{number} {what}{(number == 1 ? "" : "s")}";

    private static string[] Row(string route, string? path, string? cluster, IdempotencyPolicy policy) =>
    [
        route,
        path ?? "/**",
        cluster ?? "-",
        policy.Name,
        string.Join(",", policy.Methods),
        $"{string.Join(",", policy.Key)} ({policy.Mode.ToString().ToLowerInvariant()})",
        policy.Scope.Count == 0 ? "global" : string.Join("+", policy.Scope),
        policy.Retention.ToString("c", CultureInfo.InvariantCulture),
        policy.Lease.ToString("c", CultureInfo.InvariantCulture),
        policy.StoreDown.ToString(),
    ];
}
