using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Gateway.Tests.Repository;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// Every configuration that is shipped, as it is, behind an nginx that ends TLS, in front of an application that sends everybody to https who
/// did not come by it.
/// </summary>
public sealed partial class BehindNginxTests : IAsyncLifetime
{
    private const string Site = "shop.example";

    private readonly string _key = Guid.CreateVersion7().ToString();
    private ScriptedBackend? _backend;

    public static TheoryData<string> Configurations =>
        [.. RepositoryFiles.Find("config/examples", "*.json"), "config/routes.json", "deploy/config/routes.json", "deploy/kubernetes-sidecar.yaml"];

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync(async context =>
    {
        if (context.Request.Headers["X-Forwarded-Proto"] != "https")
        {
            context.Response.StatusCode = 308;
            context.Response.Headers.Location = $"https://{Site}{context.Request.Path}";
            return;
        }

        context.Response.StatusCode = 201;
        await context.Response.WriteAsJsonAsync(new { id = _backend!.Ledger.Count });
    });

    public async Task DisposeAsync() => await (_backend?.DisposeAsync() ?? default);

    [NginxTheory]
    [MemberData(nameof(Configurations))]
    public async Task TheApplicationSeesHttps_AndNoRedirectIsRecorded(string file)
    {
        using var tokens = new TokenIssuer();
        using var authority = new TestAuthority();
        var config = ReadConfiguration(file);
        var overrides = OverridesOf(config, authority.Write("keys.json", tokens.KeySet));
        await using var gateway = await GatewayProcess.StartAsync(config.ToJsonString(), overrides);
        await using var nginx = await NginxProcess.StartAsync(authority, Site, gateway.Url);
        using var client = nginx.NewClient();
        var route = config["ReverseProxy"]!["Routes"]!.AsObject().First(route => route.Value!["Metadata"] is not null);
        var path = Parameter().Replace(route.Value!["Match"]!["Path"]!.GetValue<string>(), "x");
        KeyValuePair<string, string>[] fields = [KeyValuePair.Create("Authorization", tokens.Bearer(new() { ["tenant"] = "one", ["sub"] = "7" })), KeyValuePair.Create("Cookie", "session=alice")];
        const string Body = """{"url":"https://example.com/","reference":"r1","amount":1}""";

        var first = await KeyedRequests.PostAsync(client, nginx.Url + path, _key, Body, fields);
        var retry = await KeyedRequests.PostAsync(client, nginx.Url + path, _key, Body, fields);

        var isObserved = file.EndsWith("observe.json", StringComparison.Ordinal);
        Assert.Equal(isObserved ? 2 : 1, _backend!.Ledger.Count);
        Assert.All(_backend.Ledger, arrival => Assert.Equal(("https", Site, "127.0.0.1, 127.0.0.1"), (arrival.Header("X-Forwarded-Proto"), arrival.Header("X-Forwarded-Host"), arrival.Header("X-Forwarded-For"))));
        Assert.Equal((201, 201, !isObserved), (first.Status, retry.Status, retry.IsReplay));
    }

    private Dictionary<string, string> OverridesOf(JsonNode config, string keysFile)
    {
        var overrides = config["ReverseProxy"]!["Clusters"]!.AsObject()
            .SelectMany(cluster => cluster.Value!["Destinations"]!.AsObject(), (cluster, destination) => $"ReverseProxy__Clusters__{cluster.Key}__Destinations__{destination.Key}__Address")
            .ToDictionary(name => name, _ => _backend!.Url);
        overrides["Store__Kind"] = "Embedded"; // the recipes' Redis is not here
        if (config["Authentication"] is not null)
        {
            overrides["Authentication__Jwt__KeysFile"] = keysFile;
        }

        return overrides;
    }

    private static JsonNode ReadConfiguration(string file)
    {
        var text = RepositoryFiles.Read(file);
        if (file.EndsWith(".yaml", StringComparison.Ordinal))
        {
            var lines = text.Split('\n');
            text = string.Join('\n', lines.Skip(Array.IndexOf(lines, "  routes.json: |") + 1).TakeWhile(line => line.StartsWith("    ", StringComparison.Ordinal)));
        }

        return JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true })!;
    }

    [GeneratedRegex(@"\{[^}]*\}")]
    private static partial Regex Parameter();
}

/// <summary>A theory that needs nginx, which test.sh installs.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class NginxTheoryAttribute : TheoryAttribute
{
    public NginxTheoryAttribute()
    {
        Skip = NginxProcess.SkipReason;
    }
}
