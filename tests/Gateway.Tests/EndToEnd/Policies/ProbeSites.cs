using System.Text;
using System.Text.Json;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// One gateway in front of a backend of many sites: what is paid at one is unknown at all others. A site is told by everything by which
/// real backends tell sites apart: host, folder, a tenant in a field or in the query, and what proxies say about the request. The backend
/// pays, and loses the answer. Each case of <see cref="Ways"/> is a route by which requests reach a site of their own.
/// </summary>
public sealed class ProbeSites : IAsyncLifetime
{
    /// <summary>What clients ask for.</summary>
    private const string ClientHost = "shop.example";

    private const string Bank = "bank.example";

    /// <summary>Fields that tell a site.</summary>
    private static readonly string[] SiteFields = ["Host", "X-Tenant", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Fwd-Host", "Forwarded"];

    private static readonly ProbeWay[] AllWays =
    [
        new("plain"),
        new("destination-host") { Host = Bank },
        new("original-host", T("RequestHeaderOriginalHost", "true")) { Host = Bank },
        new("original-host-without-copy", T("RequestHeadersCopy", "false"), T("RequestHeaderOriginalHost", "true")),
        new("host-set", T("RequestHeader", "Host", "Set", Bank)),
        new("prefix", T("PathPrefix", "/v2 b")),
        new("prefix-removed", T("PathRemovePrefix", "/prefix-removed")),
        new("prefix-changed", T("PathRemovePrefix", "prefix-changed"), T("PathPrefix", "v3")),
        new("set", T("PathSet", "/fixed/payments")) { ProbePath = "/fixed/payments", PathTransforms = "Skip" },
        new("pattern", T("PathPattern", "/old/payments/{tenant}")) { Tenant = "/acme", ProbePath = "/old/payments/state", PathTransforms = "Skip" },
        new("tenant-set", T("RequestHeader", "X-Tenant", "Set", "acme")),
        new("tenant-from-route", T("RequestHeaderRouteValue", "X-Tenant", "Set", "tenant")) { Tenant = "/acme", ProbePath = "/tenant-from-route/payments/state" },
        new("tenant-of-the-client") { ProbeHeaders = new() { ["X-Tenant"] = "{header:X-Tenant}" }, Sent = [("X-Tenant", "acme")] },
        new("query-set", T("QueryValueParameter", "tenant", "Set", "a b")),
        new("query-from-route", T("QueryRouteParameter", "tenant", "Set", "tenant")) { Tenant = "/acme", ProbePath = "/query-from-route/payments/state" },
        new("forwarded-appended", T("X-Forwarded", "Append")) { Sent = [("X-Forwarded-Host", "www.example"), ("X-Forwarded-Proto", "https")] },
        new("forwarded-as-sent", T("X-Forwarded", "Off")) { Sent = [("X-Forwarded-Host", "www.example"), ("X-Forwarded-For", "192.0.2.1")] },
        new("forwarded-without-copy", T("RequestHeadersCopy", "false"), T("X-Forwarded", "Append")) { Sent = [("X-Forwarded-Host", "www.example")] },
        new("forwarded-by-other-names", T("X-Forwarded", "Append", "HeaderPrefix", "X-Fwd-")) { Sent = [("X-Fwd-Host", "www.example")] },
        new("forwarded-standard", T("Forwarded", "host,proto", "Action", "Append")) { Sent = [("Forwarded", "host=www.example")] },
        new("forwarded-nominated", T("X-Forwarded", "Off")) { Sent = [("X-Forwarded-Host", "www.example"), ("Connection", "X-Forwarded-Host")] },
    ];

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public static TheoryData<string> Ways => [.. AllWays.Select(way => way.Name)];

    public ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        _gateway = await GatewayProcess.StartAsync(JsonSerializer.Serialize(new
        {
            Store = GatewayConfig.Embedded,
            Idempotency = new { Policies = AllWays.ToDictionary(way => way.Name, way => way.Policy) },
            ReverseProxy = new
            {
                Routes = AllWays.ToDictionary(way => way.Name, way => way.Route),
                Clusters = AllWays.ToDictionary(way => way.Name, way => new { Destinations = new { one = new { Address = _backend.Url, way.Host } } }),
            },
        }));
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    public Task<Answer> PayAsync(string name, string key)
    {
        var way = AllWays.Single(way => way.Name == name);
        return KeyedRequests.PostAsync(
            _client, _gateway!.Url + way.ClientPath, key, key, [new("Host", ClientHost), .. way.Sent.Select(field => KeyValuePair.Create(field.Name, field.Value))]);
    }

    /// <summary>By the body, which is the key: not every route passes fields on.</summary>
    public IReadOnlyList<Arrival> Payments(string key) => [.. Backend.Ledger.Where(arrival => arrival.Method == "POST" && Encoding.UTF8.GetString(arrival.Body) == key)];

    /// <summary>Questions about a payment.</summary>
    public IReadOnlyList<Arrival> Questions(string key) => [.. Backend.Ledger.Where(arrival => arrival.Method == "GET" && ReferenceIn(arrival) == key)];

    /// <summary>Where a payment was made, or asked for.</summary>
    public static string SiteOf(Arrival arrival)
    {
        var (path, query) = arrival.Target.Split('?') is [var first, var second] ? (first, second) : (arrival.Target, "");
        var tenant = query.Split('&').Where(parameter => parameter.StartsWith("tenant=", StringComparison.Ordinal));
        var fields = SiteFields.Select(name => $"{name}={string.Join(',', Http1Message.ValuesOf(arrival.Headers, name))}");
        return string.Join(' ', [path[..path.LastIndexOf('/')], .. tenant, .. fields]);
    }

    private static string? ReferenceIn(Arrival arrival) =>
        arrival.Target.Split('?', '&').Where(parameter => parameter.StartsWith("ref=", StringComparison.Ordinal)).Select(parameter => Uri.UnescapeDataString(parameter["ref=".Length..])).SingleOrDefault();

    private static Dictionary<string, string> T(params string[] pairs) => Enumerable.Range(0, pairs.Length / 2).ToDictionary(i => pairs[2 * i], i => pairs[(2 * i) + 1]);

    private async Task AnswerAsync(HttpContext context)
    {
        if (HttpMethods.IsPost(context.Request.Method))
        {
            context.Abort();
            return;
        }

        var question = Arrival.Of(context, []);
        var reference = ReferenceIn(question);
        var known = Payments(reference ?? "").Any(payment => SiteOf(payment) == SiteOf(question));
        context.Response.StatusCode = known ? StatusCodes.Status200OK : StatusCodes.Status404NotFound;
        await context.Response.WriteAsJsonAsync(new { reference });
    }
}
