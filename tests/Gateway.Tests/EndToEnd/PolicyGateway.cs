using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// One gateway process on the embedded store with many policies: the policy NAME guards the paths below <c>/NAME</c>. Tests keep apart by
/// paths of their own; routes of <see cref="AuthenticatedPolicies"/> ask for a token of <see cref="Tokens"/>.
/// </summary>
public sealed class PolicyGateway : IAsyncLifetime
{
    /// <summary>Of the policies with a <c>KeyTime</c>.</summary>
    public static readonly TimeSpan Retention = TimeSpan.FromHours(1);

    private static readonly string[] AuthenticatedPolicies = ["claim-scope", "claim-scopes", "claim-key"];

    private readonly ConcurrentDictionary<string, Func<HttpContext, Task>> _answers = new();
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("policy-gateway-");
    private ScriptedBackend? _backend;
    private GatewayProcess? _process;

    public TokenIssuer Tokens { get; } = new();

    public HttpClient Client { get; } = KeyedRequests.NewClient();

    public string Url => _process!.Url;

    private static Dictionary<string, object> Policies { get; } = new()
    {
        ["query-key"] = new { Key = "query:key" },
        ["route-key"] = new { Key = "route:id" },
        ["url-key"] = new { Key = "body:/url", Scope = "global", Fingerprint = new { Body = "Json" } },
        ["form-key"] = new { Key = "form:id" },
        ["optional-body-key"] = new { Mode = "Optional", Key = "body:/id" },
        ["two-headers"] = new { Key = (string[])["header:Idempotency-Key", "header:X-Request-Id"] },
        ["event-key"] = new { Key = "header:ce-id" },
        ["strict-key"] = new { Key = (string[])["header:Idempotency-Key", "query:key"], KeyPattern = "^[A-Za-z0-9_.:-]+$", KeyMinLength = 16 },
        ["original-host"] = new { },
        ["any-place"] = new { Key = (string[])["query:key", "header:Idempotency-Key", "body:/key", "header:X-Request-Id"] },
        ["default-key"] = new { },
        ["tenant-scope"] = new { Scope = (string[])["header:X-Tenant", "query:user"] },
        ["body-scope"] = new { Scope = "body:/account" },
        ["global-scope"] = new { Scope = "global" },
        ["ip-scope"] = new { Scope = "client-ip" },
        ["claim-scope"] = new { Scope = "claim:sub" },
        ["claim-scopes"] = new { Scope = (string[])["claim:tenant", "claim:sub"] },
        ["claim-key"] = new { Key = "claim:order" },
        ["json"] = new { Fingerprint = new { Body = "Json", Ignore = (string[])["/sentAt", "/items/0/at"] } },
        ["no-body"] = new { Fingerprint = new { Body = "None" } },
        ["version-field"] = new { Fingerprint = new { Headers = "X-Version" } },
        ["uuid-time"] = new { KeyTime = "UuidV7", Retention = Retention.ToString("c", CultureInfo.InvariantCulture) },
        ["any-time"] = new { KeyTime = (string[])["Ulid", "FirstSent"], Retention = Retention.ToString("c", CultureInfo.InvariantCulture) },
        ["derived"] = new { ForwardKey = "Derived" },
        ["derived-too"] = new { ForwardKey = "Derived" },
        ["derived-from-query"] = new { Key = "query:key", ForwardKey = "Derived" },
        ["derived-observed"] = new { Mode = "Observe", ForwardKey = "Derived" },
        ["strip"] = new { ForwardKey = "Strip", Key = (string[])["header:X-Request-Id", "header:Idempotency-Key"] },
        ["no-store-kept"] = new { Response = new { NoStore = "Record" } },
    };

    /// <summary>A path that no other test uses, guarded by that policy.</summary>
    public static string NewPath(string policy) => $"/{policy}/{Guid.NewGuid():N}";

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        var keysFile = Path.Combine(_folder.FullName, "keys.json");
        await File.WriteAllTextAsync(keysFile, Tokens.KeySet);
        _process = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, Policies, [.. Policies.Keys.Select(RouteOf)]),
            TokenIssuer.Environment(keysFile));
    }

    public async Task DisposeAsync()
    {
        Client.Dispose();
        Tokens.Dispose();
        await (_process?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
        _folder.Delete(recursive: true);
    }

    /// <summary>How the backend answers at a path, instead of by <see cref="ScriptedBackend.AnswerCreatedAsync"/>.</summary>
    public void AnswerAt(string path, Func<HttpContext, Task> answer) => _answers[path] = answer;

    /// <summary>See <see cref="ScriptedBackend.AnswerCreatedAsync"/>.</summary>
    public Task AnswerCreatedAsync(HttpContext context) => _backend!.AnswerCreatedAsync(context);

    /// <summary>At a path, with any query.</summary>
    public IReadOnlyList<Arrival> ArrivalsAt(string path) => [.. _backend!.Ledger.Where(arrival => arrival.Target.Split('?')[0] == path)];

    public Task<Answer> PostAsync(string target, string? key, string body = "{}", params (string Name, string Value)[] headers) =>
        KeyedRequests.PostAsync(Client, Url + target, key, body, headers.Select(header => KeyValuePair.Create(header.Name, header.Value)));

    /// <summary>Any bytes, with no key header.</summary>
    public Task<Answer> PostBytesAsync(string target, byte[] body, string contentType = "application/json") =>
        KeyedRequests.SendAsync(Client, HttpMethod.Post, Url + target, key: null, body, [KeyValuePair.Create("Content-Type", contentType)]);

    /// <summary>Below HttpClient, with exactly these header lines beside Host and the body's framing.</summary>
    public async Task<Http1Message> PostRawAsync(string target, string body, bool chunked, params string[] headerLines)
    {
        var framing = chunked ? "Transfer-Encoding: chunked" : $"Content-Length: {body.Length}";
        string[] head = [$"POST {target} HTTP/1.1", $"Host: {new Uri(Url).Authority}", .. headerLines, framing];
        var sent = chunked ? $"{body.Length:x}\r\n{body}\r\n0\r\n\r\n" : body;
        return (await RawClient.ExchangeAsync(Url, string.Join("\r\n", head) + "\r\n\r\n" + sent))!;
    }

    /// <summary>A multipart/form-data body and its content type.</summary>
    public static (string Body, string ContentType) Multipart(string boundary, params (string Name, string Value)[] parts)
    {
        var body = new StringBuilder();
        foreach (var (name, value) in parts)
        {
            body.Append(CultureInfo.InvariantCulture, $"--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        }

        return (body.Append(CultureInfo.InvariantCulture, $"--{boundary}--\r\n").ToString(), $"multipart/form-data; boundary={boundary}");
    }

    private GatewayRoute RouteOf(string policy) => new(
        policy == "route-key" ? "/route-key/{test}/{id?}" : $"/{policy}/{{**rest}}",
        _backend!.Url,
        policy,
        AuthorizationPolicy: AuthenticatedPolicies.Contains(policy) ? "Default" : null)
    {
        Transforms = policy == "original-host" ? [new() { ["RequestHeaderOriginalHost"] = "true" }] : null,
    };

    private Task AnswerAsync(HttpContext context) =>
        _answers.TryGetValue(context.Request.Path, out var answer) ? answer(context) : _backend!.AnswerCreatedAsync(context);
}
