using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Forwarding;

/// <summary>
/// Servers read paths in different ways. Whatever a backend makes of one: it never is asked for a protected resource by a request that no policy has
/// looked at. Requests without a key cannot reach the protected one, so that each that does has got round the gateway.
/// </summary>
public sealed partial class PathConfusionTests(PathConfusionTests.Site site) : IClassFixture<PathConfusionTests.Site>
{
    /// <summary>How backends come to a resource from a target; the last one is that of a proxy behind us, and its backend.</summary>
    private static readonly Dictionary<string, Func<string, string>> Backends = new()
    {
        ["as sent"] = Resolve,
        ["decodes, then normalises"] = path => Resolve(Decode(path)),
        ["takes parameters out, decodes, then normalises"] = path => Resolve(WithoutParameters(Decode(WithoutParameters(path)))),
        ["decodes twice"] = path => Resolve(WithoutParameters(Decode(Decode(path)))),
    };

    public static TheoryData<string> Confusing =>
    [
        "/public/..%2forders/1", "/public/..%2Forders/1", "/public/%2e%2e%2forders/1", "/public/%2e%2e/orders/1", "/public/.%2e/orders/1",
        "/public/..%5corders/1", "/public/..%5Corders%5C1", "/public/..\\orders/1", "/public/x/..%2f..%2forders/1", "/public/..%2f/orders/1",
        "/public/..;/orders/1", "/public/..;x=1/orders/1", "/public/..%3b/orders/1", "/public/..%3Bx=1/orders/1", "/public/%2e%2e;/orders/1",
        "/public/%2e%2e%3b/orders/1", "/public;x=1/../orders/1", "/public/a;/..;/..;/orders/1",
        "/public/..%252forders/1", "/public/%252e%252e/orders/1", "/public/%252e%252e%252forders/1", "/public/..%255corders/1", "/public/..%253b/orders/1",
        "/public/%25252e%25252e/orders/1", "/public/..%c0%aforders/1", "/public/%c0%ae%c0%ae/orders/1", "/public/..%e0%80%aforders/1", "/public/..%c1%9corders/1",
        "/public/..%ef%bc%8forders/1", "/public/%ef%bc%8e%ef%bc%8e/orders/1", "/public/..%ef%bc%bcorders/1", "//orders/1", "///orders/1",
        "/%2forders/1", "/%2Forders%2F1", "/orders%2f1", "/orders%2F1", "/orders%5c1", "/orders%252f1",
        "/orders;/1", "/orders;jsessionid=1/1", "/orders;a=/1", "/orders%3b/1", "/orders%3bx=1/1", "/;/orders/1", "/;x=1/orders/1", "/./orders/1", "/.//orders/1",
        "/.%2forders/1", "/%2e/orders/1", "/.;/orders/1", "/%5corders/1", "/\\orders/1", "/orders./1", "/orders%20/1", "/orders%2e/1", "/orders%00/1",
        "/orders%09/1", "/orders%2f%2e%2e%2forders%2f1", "/public/../orders/1", "/x/../orders/1", "/%6frders/1", "/%256frders/1", "/ORDERS%2f1", "/orders%2f",
        "/public/%2e%2e%2f%2e%2e%2forders/1", "/public/..%2f..%2f..%2forders/1", "/public%2f..%2forders/1", "/public%2f..;%2forders/1", "/orders;%2f1",
    ];

    public static TheoryData<string> Plain =>
    [
        "/public/a%2Fb", "/public/a%20b", "/public/%C3%A9", "/public/a;v=1/b", "/public/a;b", "/public/a%3Bb", "/public/a//b", "/public/a%5Cb", "/public/.well-known/x",
        "/public/a.b", "/public/a..b", "/public/100%25", "/public/a%2Fb?next=/orders/1&x=..%2forders", "/files/orders%2f1", "/versions/a%2Fb", "/versions/a%20b;c=1", "/x%20y", "/public/a.",
    ];

    [Theory]
    [MemberData(nameof(Confusing))]
    public async Task NoBackend_IsAskedForAProtectedResource_ByARequestThatNobodyLookedAt(string target)
    {
        var answer = await SendAsync(target);

        Assert.True(answer.Status == 400, $"{answer.Status}: it arrived as {string.Join(", ", site.Backend.Ledger.Select(arrival => arrival.Target))}");
        foreach (var arrival in site.Backend.Ledger)
        {
            Assert.All(Backends, backend => Assert.False(
                Protected.IsMatch(backend.Value(arrival.Target.Split('?')[0])), $"a backend that {backend.Key} takes {arrival.Target} for {backend.Value(arrival.Target)}"));
        }
    }

    /// <summary>Dot segments that everybody can see are resolved, and only that goes out.</summary>
    [Fact]
    public async Task WhatWasResolved_GoesOutAsRoutingSawIt()
    {
        Assert.Equal(201, (await SendAsync("/public/;/../resolved/1")).Status);
        Assert.Single(site.Backend.Ledger, arrival => arrival.Target == "/public/resolved/1");
    }

    [Theory]
    [MemberData(nameof(Plain))]
    public async Task WhatLeadsNowhereElse_GoesOutAsItCame(string target)
    {
        Assert.Equal(201, (await SendAsync(target)).Status);
        Assert.Single(site.Backend.Ledger, arrival => arrival.Target == target);
    }

    [Theory]
    [InlineData("/seats/12", 201)]
    [InlineData("/seats/%31%32", 201)] // every server reads it as 12
    [InlineData("/seats/a%20b", 201)]
    [InlineData("/seats/%C3%A9", 201)]
    [InlineData("/seats/12;x=1", 400)]
    [InlineData("/seats/12%3bx", 400)]
    [InlineData("/seats/12%2f", 400)]
    [InlineData("/seats/12%20", 400)]
    [InlineData("/seats/12.", 400)]
    [InlineData("/seats/%2531", 400)]
    [InlineData("/seats/x%2f..%2f12", 400)]
    public async Task ALock_IsNeverOnAnotherValueThanTheBackendSees(string target, int status) => Assert.Equal(status, (await SendAsync(target)).Status);

    [Theory]
    [InlineData("X-HTTP-Method-Override")]
    [InlineData("x-http-method")]
    [InlineData("X-Method-Override")]
    [InlineData("X_HTTP_Method_Override")]
    public async Task AMethodThatIsNotCovered_CannotNameAnother(string field)
    {
        var refused = await SendAsync("/orders/1", "GET", $"{field}: POST\r\n");
        var elsewhere = await SendAsync($"/public/{field}", "GET", $"{field}: POST\r\n");

        Assert.Equal((400, 201), (refused.Status, elsewhere.Status));
        Assert.DoesNotContain(site.Backend.Ledger, arrival => arrival.Target == "/orders/1");
    }

    private async Task<Http1Message> SendAsync(string target, string method = "POST", string fields = "") =>
        (await RawClient.ExchangeAsync(site.Gateway.Url, $"{method} {target} HTTP/1.1\r\nHost: x\r\n{fields}Content-Length: 0\r\n\r\n"))!;

    [GeneratedRegex("^/(orders|seats)(/|$)", RegexOptions.IgnoreCase)]
    private static partial Regex Protected { get; }

    private static string WithoutParameters(string path) => Regex.Replace(path, ";[^/]*", "");

    private static string Decode(string path) => Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(
        Regex.Replace(path, "%([0-9A-Fa-f]{2})", match => ((char)byte.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture)).ToString())));

    private static string Resolve(string path)
    {
        var segments = new Stack<string>();
        foreach (var segment in path.Replace('\\', '/').Split('/'))
        {
            if (segment == "..")
            {
                segments.TryPop(out _);
            }
            else if (segment.Length > 0 && segment != ".")
            {
                segments.Push(segment);
            }
        }

        return "/" + string.Join('/', segments.Reverse());
    }

    /// <summary>One gateway for all cases, with a protected and two open routes to one backend.</summary>
    public sealed class Site : IAsyncLifetime
    {
        private ScriptedBackend? _backend;
        private GatewayProcess? _gateway;

        public ScriptedBackend Backend => _backend!;

        public GatewayProcess Gateway => _gateway!;

        public async Task InitializeAsync()
        {
            _backend = await ScriptedBackend.StartAsync();
            _gateway = await GatewayProcess.StartAsync($$"""
                {
                  "Store": { "Kind": "Embedded" },
                  "Idempotency": { "Policies": { "seats": { "Key": [], "Lock": { "On": "route:seat" } } } },
                  "ReverseProxy": {
                    "Routes": {
                      "orders": { "ClusterId": "one", "Match": { "Path": "/orders/{**rest}" }, "Metadata": { "Idempotency": "default" } },
                      "seats": { "ClusterId": "one", "Match": { "Path": "/seats/{seat}" }, "Metadata": { "Idempotency": "seats" } },
                      "public": { "ClusterId": "one", "Match": { "Path": "/public/{**rest}" } },
                      "by-host": { "ClusterId": "one", "Match": { "Path": "/{**rest}", "Hosts": ["pay.example"] }, "Metadata": { "Idempotency": "default" } },
                  "by-field": { "ClusterId": "one", "Match": { "Path": "/versions/{**rest}", "Headers": [{ "Name": "X-Version", "Values": ["2"] }] }, "Metadata": { "Idempotency": "default" } },
                  "versions": { "ClusterId": "one", "Match": { "Path": "/versions/{**rest}" } },
                  "others": { "ClusterId": "one", "Match": { "Path": "/{**rest}" } }
                    },
                    "Clusters": { "one": { "Destinations": { "a": { "Address": "{{Backend.Url}}" } } } }
                  }
                }
                """);
        }

        public async Task DisposeAsync()
        {
            await (_gateway?.DisposeAsync() ?? default);
            await (_backend?.DisposeAsync() ?? default);
        }
    }
}
