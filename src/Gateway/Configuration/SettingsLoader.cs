using System.Net;
using System.Reflection;
using System.Text;
using System.Text.Json;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Gateway.Configuration;

/// <summary>
/// The one conversion point from configuration to settings: file, then environment; every mistake is collected, none is thrown.
/// </summary>
internal static class SettingsLoader
{
    /// <summary>Sections of the file that belong to the host and are passed on to it as they are.</summary>
    private static readonly string[] HostSections = ["Logging", "Kestrel"];

    /// <summary>Of the console's lines; the first is the gateway's own, and the default.</summary>
    private static readonly string[] Formats = ["line", "simple", "json", "systemd"];

    /// <returns>The settings, or null when <paramref name="errors"/> has any.</returns>
    public static GatewaySettings? Load(string file, ConfigurationErrors errors) =>
        TryReadFile(file, errors) is { } configuration ? Convert(configuration, errors) : null;

    /// <summary>The same of a file that was read before.</summary>
    public static GatewaySettings? Load(string file, byte[] bytes, ConfigurationErrors errors) =>
        TryParse(file, bytes, errors) is { } configuration ? Convert(configuration, errors) : null;

    /// <summary>Reads the file and lays the environment over it.</summary>
    public static IConfigurationRoot? TryReadFile(string file, ConfigurationErrors errors)
    {
        try
        {
            return TryParse(file, File.ReadAllBytes(file), errors);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            errors.Add(file, null, $"cannot be read: {e.Message}");
            return null;
        }
    }

    private static IConfigurationRoot? TryParse(string file, byte[] bytes, ConfigurationErrors errors)
    {
        try
        {
            RejectUnknownSections(new ConfigurationBuilder().AddJsonStream(new MemoryStream(bytes)).Build(), errors);
            // Not AddConfiguration: a chained configuration loses empty values, and with them empty lists.
            return new ConfigurationBuilder().AddJsonStream(new MemoryStream(bytes)).AddEnvironmentVariables().Build();
        }
        catch (Exception e) when (e is InvalidDataException or FormatException or JsonException)
        {
            errors.Add(file, null, DescribeMistake(e.InnerException ?? e, bytes));
        }

        return null;
    }

    /// <summary>Lines and columns as editors count them, from 1.</summary>
    private static string DescribeMistake(Exception e, byte[] bytes)
    {
        if (e is not JsonException { LineNumber: { } line, BytePositionInLine: { } column })
        {
            return $"is not valid JSON: {e.Message}";
        }

        var lines = Encoding.UTF8.GetString(bytes).Split('\n');
        var hint = line < lines.Length && lines[line].TrimStart().StartsWith('#') ? " A comment begins with //." : "";
        var what = e.Message.Split(" Path: ")[0].Split(" LineNumber: ")[0];
        return $"is not valid JSON, line {line + 1}, column {column + 1}: {what}{hint}";
    }

    /// <returns>The settings, or null when <paramref name="errors"/> has any.</returns>
    public static GatewaySettings? Convert(IConfiguration configuration, ConfigurationErrors errors)
    {
        var root = new SettingsReader(configuration, "", errors);
        var store = StoreReader.Read(root.Section("Store"));
        var idempotency = IdempotencyReader.Read(root.Section("Idempotency"));
        var policies = idempotency.Policies;
        var admin = ReadAdmin(root.Section("Admin"));
        var jwt = SecurityReader.ReadAuthentication(root.Section("Authentication"));
        var grace = root.Duration("ShutdownGrace", TimeSpan.FromSeconds(25), TimeSpan.FromSeconds(1), TimeSpan.FromHours(1));
        var forwardedHeaders = ForwardedHeadersSettings.Read(root.Section("ForwardedHeaders"));
        idempotency = idempotency with { Limits = IdempotencyReader.ReadLimits(root.Section("Limits"), policies) };
        var (routes, clusters) = ProxyReader.Read(configuration.GetSection(ProxyReader.Section), errors);
        foreach (var route in routes)
        {
            RouteChecks.Check(ProxyReader.Section, route, policies, errors);
        }

        RouteChecks.WarnOfUnused("Idempotency", routes, policies, errors);
        ProbeRouteChecks.Check(ProxyReader.Section, routes, policies, errors);
        ProxyReader.CheckAuthentication(routes, policies, jwt, errors);
        IdempotencyReader.CheckLeases("Idempotency", policies, store.Timeout, errors);
        CheckEndpoints(configuration.GetSection("Kestrel:Endpoints"), errors);
        CheckLimits(configuration.GetSection("Kestrel"), errors);
        CheckFormatter(configuration.GetSection("Logging:Console"), errors);
        if (routes.Count == 0)
        {
            errors.Warn($"{ProxyReader.Section}:Routes", "there are no routes; every request is answered with 404");
        }

        return errors.Errors.Count > 0
            ? null
            : new GatewaySettings
            {
                Store = store,
                Admin = admin,
                Idempotency = idempotency,
                Jwt = jwt,
                ForwardedHeaders = forwardedHeaders,
                ShutdownGrace = grace,
                Routes = routes,
                Clusters = clusters,
                Warnings = errors.Warnings,
            };
    }

    private static void RejectUnknownSections(IConfigurationRoot json, ConfigurationErrors errors)
    {
        var root = new SettingsReader(json, "", errors);
        foreach (var section in (string[])["Store", "Idempotency", ProxyReader.Section, "Admin", "Authentication", "Limits", "ForwardedHeaders", .. HostSections])
        {
            root.Section(section);
        }

        root.OptionalText("$schema");
        root.OptionalText("ShutdownGrace");
        root.RejectUnknown();
    }

    /// <summary>The rest of the section is the host's; but it would repeat such an address in its log.</summary>
    private static void CheckEndpoints(IConfigurationSection endpoints, ConfigurationErrors errors)
    {
        foreach (var endpoint in endpoints.GetChildren().Where(endpoint => endpoint["Url"]?.Contains('@', StringComparison.Ordinal) is true))
        {
            errors.Add($"{endpoint.Path}:Url", null, "expected an address without user and password");
        }
    }

    /// <summary>What Kestrel would only say when it starts, or not at all.</summary>
    private static void CheckLimits(IConfigurationSection kestrel, ConfigurationErrors errors)
    {
        foreach (var setting in kestrel.GetSection("Limits").GetChildren())
        {
            try
            {
                var alone = new ConfigurationBuilder().AddInMemoryCollection(setting.AsEnumerable().Select(item => KeyValuePair.Create(item.Key[kestrel.GetSection("Limits").Path.Length..].TrimStart(':'), item.Value))).Build();
                alone.Bind(new KestrelServerLimits(), options => options.ErrorOnUnknownConfiguration = true);
            }
            catch (Exception e) when (e is InvalidOperationException or ArgumentException or TargetInvocationException)
            {
                var cause = e;
                while (cause.InnerException is { } inner)
                {
                    cause = inner;
                }

                errors.Add(setting.Path, setting.Value, (setting.Value is null ? "expected " : "") + $"a setting of Kestrel's limits and a value that it takes ({cause.Message.ReplaceLineEndings(" ")})");
            }
        }
    }

    /// <summary>The console would take another one without a word.</summary>
    private static void CheckFormatter(IConfigurationSection console, ConfigurationErrors errors)
    {
        if (console["FormatterName"] is { } name && !Formats.Contains(name, StringComparer.OrdinalIgnoreCase))
        {
            errors.Add($"{console.Path}:FormatterName", name, Suggestion.Among(Formats, name, " or "));
        }
    }

    private static AdminSettings ReadAdmin(SettingsReader reader)
    {
        var defaults = new AdminSettings();
        var settings = new AdminSettings { Urls = reader.Text("Urls", defaults.Urls), Token = reader.OptionalText("Token") };
        reader.RejectUnknown();
        foreach (var url in settings.Urls.Split(';', StringSplitOptions.TrimEntries))
        {
            if (TryParseAddress(url) is not { } address)
            {
                reader.Errors.Add(reader.PathOf("Urls"), SafeText.OfAddress(url), "addresses such as http://127.0.0.1:9091, separated by ;");
                continue;
            }

            var loopback = address.Host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(address.Host, out var ip) && IPAddress.IsLoopback(ip));
            if (!loopback && settings.Token is null)
            {
                reader.Errors.Add(reader.PathOf("Token"), null, $"expected a token, because {SafeText.OfAddress(url)} is not a loopback address");
            }
        }

        return settings;
    }

    /// <summary>An address that the admin listener can bind: http, without a path. Null for anything else.</summary>
    private static BindingAddress? TryParseAddress(string url)
    {
        try
        {
            return BindingAddress.Parse(url) is { PathBase.Length: 0, Scheme: var scheme } address && !url.Contains('@', StringComparison.Ordinal) && scheme.Equals("http", StringComparison.OrdinalIgnoreCase) ? address : null;
        }
        catch (FormatException)
        {
            return null;
        }
    }
}
