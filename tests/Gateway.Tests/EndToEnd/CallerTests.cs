using System.Globalization;
using System.Security.Cryptography.X509Certificates;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Callers say who they are in many ways. Two who differ never share a key, and one who comes again finds his.</summary>
public sealed class CallerTests : IAsyncLifetime, IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly int _tlsPort = LoopbackPorts.Reserve();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        var (certificate, key) = _authority.Issue("gateway.example", false, "127.0.0.1");
        _backend = await ScriptedBackend.StartAsync();
        var config = GatewayConfig.Write(
            GatewayConfig.Embedded,
            new
            {
                cookie = new { Scope = "cookie:session" },
                certificate = new { Scope = "client-certificate" },
                both = new { Scope = (string[])["credentials", "cookie:session"] },
                everybody = new { Scope = "global" },
            },
            new GatewayRoute("/plain/{**rest}", _backend.Url, Policy: null),
            new GatewayRoute("/default/{**rest}", _backend.Url),
            new GatewayRoute("/cookie/{**rest}", _backend.Url, "cookie"),
            new GatewayRoute("/certificate/{**rest}", _backend.Url, "certificate"),
            new GatewayRoute("/both/{**rest}", _backend.Url, "both"),
            new GatewayRoute("/everybody/{**rest}", _backend.Url, "everybody"));
        _gateway = await GatewayProcess.StartAsync(config, new Dictionary<string, string>
        {
            ["SSL_CERT_FILE"] = _authority.CaFile,
            ["Kestrel__Endpoints__clear__Url"] = "http://127.0.0.1:0",
            ["Kestrel__Endpoints__tls__Url"] = string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{_tlsPort}"),
            ["Kestrel__Endpoints__tls__ClientCertificateMode"] = "AllowCertificate",
            ["Kestrel__Certificates__Default__Path"] = certificate,
            ["Kestrel__Certificates__Default__KeyPath"] = key,
        });
    }

    public async Task DisposeAsync()
    {
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    public void Dispose() => _authority.Dispose();

    /// <param name="path">Whose policy says what separates callers.</param>
    /// <param name="one">The fields of a caller, one after the other.</param>
    /// <param name="other">Those of the next one.</param>
    [Theory]
    [InlineData("/default", "Authorization: Bearer a", "Authorization: Bearer b")]
    [InlineData("/default", "X-Api-Key: a", "X-Api-Key: b")]
    [InlineData("/default", "X-API-KEY: a", "x-api-key: b")]
    [InlineData("/default", "Api-Key: a", "Api-Key: b")]
    [InlineData("/default", "X-Api-Key: a", "Api-Key: a")]
    [InlineData("/default", "X-Api-Key: a", "")]
    [InlineData("/default", "Authorization: app|X-Api-Key: a", "Authorization: app|X-Api-Key: b")]
    [InlineData("/default", "Authorization: a", "X-Api-Key: a")]
    [InlineData("/cookie", "Cookie: session=a", "Cookie: session=b")]
    [InlineData("/cookie", "Cookie: session=a", "")]
    [InlineData("/cookie", "Cookie: session=a; session=b", "Cookie: session=b; session=a")]
    [InlineData("/cookie", "Cookie: session=a", "Cookie: session=a; session=b")]
    [InlineData("/cookie", "Cookie: session=\"a\"", "Cookie: session=a")]
    [InlineData("/cookie", "Cookie: Session=a", "Cookie: session=a")]
    [InlineData("/both", "X-Api-Key: a|Cookie: session=a", "X-Api-Key: a|Cookie: session=b")]
    public async Task TwoCallers_HaveAKeyEach(string path, string one, string other)
    {
        var first = await PostAsync(path, one);
        var second = await PostAsync(path, other);
        var again = await PostAsync(path, one);

        Assert.Equal(2, _backend!.ArrivalsFor(_key).Count);
        Assert.Equal((201, false), (second.Status, second.IsReplay));
        Expect.Replay(first, again);
    }

    [Theory]
    [InlineData("/cookie", "Cookie: session=a; _ga=1", "Cookie: _ga=2; session=a")]
    [InlineData("/cookie", "Cookie: session=a", "Cookie: theme=dark|Cookie: session=a")]
    [InlineData("/cookie", "Cookie: session=a", "Cookie:  session = a ;x")]
    [InlineData("/default", "X-Api-Key: a|Cookie: _ga=1", "X-Api-Key: a|Cookie: _ga=2")]
    [InlineData("/everybody", "X-Api-Key: a", "X-Api-Key: b")]
    public async Task WhatDoesNotSayWhoTheCallerIs_DoesNotSeparate(string path, string one, string other)
    {
        var first = await PostAsync(path, one);

        Expect.Replay(first, await PostAsync(path, other));
        Assert.Single(_backend!.ArrivalsFor(_key));
    }

    [Theory]
    [InlineData("/default")]
    [InlineData("/certificate")]
    public async Task ClientsWithCertificates_HaveAKeyEach(string path)
    {
        using var alice = ClientWith("alice");
        using var bob = ClientWith("bob");
        using var nobody = ClientWith(null);
        var url = string.Create(CultureInfo.InvariantCulture, $"https://127.0.0.1:{_tlsPort}{path}/1");

        var first = await KeyedRequests.PostAsync(alice, url, _key);
        var second = await KeyedRequests.PostAsync(bob, url, _key);
        var third = await KeyedRequests.PostAsync(nobody, url, _key);

        Assert.Equal(3, _backend!.ArrivalsFor(_key).Count);
        Assert.All([second, third], answer => Assert.Equal((201, false), (answer.Status, answer.IsReplay)));
        Expect.Replay(first, await KeyedRequests.PostAsync(alice, url, _key));
        Assert.Equal(3, _backend.ArrivalsFor(_key).Count);
    }

    [Fact]
    public async Task CredentialsThatTheScopeDoesNotLookAt_AreSaidOncePerRoute()
    {
        await PostAsync("/default", "Cookie: session=a");
        await PostAsync("/default", "Cookie: session=b");
        await PostAsync("/cookie", "Cookie: session=a|X-Auth-Token: t");
        await PostAsync("/everybody", "X-Api-Key: a");
        await PostAsync("/plain", "X-Auth-Token: t");
        await PostAsync("/both", "X-Api-Key: a|Cookie: session=a");

        await _gateway!.Output.WaitForAsync(line => line.Contains("Route /cookie/{**rest}: callers send X-Auth-Token", StringComparison.Ordinal));
        Assert.Single(_gateway.Output, line => line.Contains("Route /default/{**rest}: callers send Cookie", StringComparison.Ordinal));
        Assert.Equal(2, _gateway.Output.Count(line => line.Contains("callers send", StringComparison.Ordinal)));
    }

    private async Task<Answer> PostAsync(string path, string fields)
    {
        using var client = KeyedRequests.NewClient();
        KeyValuePair<string, string>[] headers =
        [
            .. fields.Split('|', StringSplitOptions.RemoveEmptyEntries).Select(field => field.Split(": ", 2)).Select(pair => KeyValuePair.Create(pair[0], pair[1])),
        ];
        return await KeyedRequests.PostAsync(client, $"{_gateway!.Url}{path}/1", _key, "{}", headers);
    }

    private HttpClient ClientWith(string? name)
    {
        var handler = new HttpClientHandler { UseCookies = false, ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator };
        if (name is not null)
        {
            var (certificate, key) = _authority.Issue(name, false, $"{name}.example");
            using var pem = X509Certificate2.CreateFromPemFile(certificate, key);
            handler.ClientCertificates.Add(X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null));
        }

        return new HttpClient(handler);
    }
}
