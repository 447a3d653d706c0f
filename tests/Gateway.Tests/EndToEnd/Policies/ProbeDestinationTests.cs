using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Whose word counts where a cluster has several destinations, and by which name a destination is known.</summary>
public sealed class ProbeDestinationTests : IAsyncLifetime
{
    private static readonly JsonSerializerOptions Options = new() { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _first;
    private ScriptedBackend? _second;

    public async Task InitializeAsync() => (_first, _second) = (await ScriptedBackend.StartAsync(), await ScriptedBackend.StartAsync());

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _first!.DisposeAsync();
        await _second!.DisposeAsync();
    }

    [Fact]
    public async Task OneThatIsGone_DoesNotHideTheOther_WhichSharesItsData()
    {
        _second!.Handler = context => AnswerAsync(context, () => PaymentsAt(_first!));
        _first!.Handler = context => // so that the sweeper finds nothing out before it is gone
        {
            context.Abort();
            return Task.CompletedTask;
        };
        // The order of destinations is by chance; among many that are gone, the one that lives is hardly the first.
        var gone = Enumerable.Range(0, 8).ToDictionary(i => $"gone-{i}", _ => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{LoopbackPorts.Reserve()}"));
        await using var gateway = await GatewayProcess.StartAsync(Config(ClusterOf(affinity: false, gone)));
        Expect.Problem(502, "outcome-uncertain", await PayAsync(gateway));
        await _first.StopAsync();

        var retry = await PayUntilSettledAsync(gateway);

        Assert.Single(PaymentsAt(_first));
        Assert.Empty(PaymentsAt(_second));
        Assert.Equal((200, true), (retry.Status, retry.IsReplay));
    }

    [Fact]
    public async Task WithSessionAffinity_TheWordOfAnother_IsNotThatOfTheOneThatPaid()
    {
        _first!.Handler = context => AnswerAsync(context, () => PaymentsAt(_first));
        _second!.Handler = context => AnswerAsync(context, () => PaymentsAt(_second));
        await using var gateway = await GatewayProcess.StartAsync(Config(ClusterOf(affinity: true)));
        Expect.Problem(502, "outcome-uncertain", await PayAsync(gateway));
        await _first.StopAsync();

        Expect.Uncertain(await PayAsync(gateway));
        Assert.Contains(_second.Ledger, arrival => arrival.Method == "GET"); // it said absent
        await _first.StartAgainAsync();
        var retry = await PayUntilSettledAsync(gateway);

        Assert.Single(PaymentsAt(_first));
        Assert.Empty(PaymentsAt(_second));
        Assert.Equal((200, true), (retry.Status, retry.IsReplay));
    }

    [Fact]
    public async Task WithSessionAffinity_WhatIsAbsentEverywhere_IsForwardedAgain()
    {
        _first!.Handler = context => AnswerAsync(context, () => []);
        _second!.Handler = context => AnswerAsync(context, () => []);
        await using var gateway = await GatewayProcess.StartAsync(Config(ClusterOf(affinity: true)));
        Expect.Problem(502, "outcome-uncertain", await PayAsync(gateway));

        await PayUntilSettledAsync(gateway);

        Assert.Equal([null, "2"], PaymentsAt(_first).Select(arrival => arrival.Header("Idempotency-Attempt")));
    }

    [Theory]
    [InlineData("bank.example", null, "bank.example")]
    [InlineData("bank.example", "shop.example", "shop.example")] // the route forwards what the client asked for
    [InlineData(null, null, "localhost")]
    public async Task OverTls_TheNameIsTheOneOfTheRequest(string? host, string? original, string expected)
    {
        var names = new ConcurrentQueue<string?>();
        using var rsa = RSA.Create(2048);
        using var issued = new CertificateRequest("CN=backend", rsa, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
            .CreateSelfSigned(TimeProvider.System.GetUtcNow().AddDays(-1), TimeProvider.System.GetUtcNow().AddDays(1));
        using var certificate = X509CertificateLoader.LoadPkcs12(issued.Export(X509ContentType.Pkcs12), null);
        var port = LoopbackPorts.Reserve();
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, listen => listen.UseHttps(https =>
            https.ServerCertificateSelector = (_, name) =>
            {
                names.Enqueue(name);
                return certificate;
            })));
        await using var backend = builder.Build();
        var paid = 0;
        backend.Run(context =>
        {
            // Each exchange makes a connection, and so a handshake, of its own.
            context.Response.Headers.Connection = "close";
            if (HttpMethods.IsGet(context.Request.Method))
            {
                context.Response.StatusCode = context.Request.Host.Host == expected && Volatile.Read(ref paid) > 0 ? 200 : 404;
                return Task.CompletedTask;
            }

            Interlocked.Increment(ref paid);
            context.Abort();
            return Task.CompletedTask;
        });
        await backend.StartAsync();
        var cluster = new
        {
            HttpClient = new { DangerousAcceptAnyServerCertificate = true },
            HttpRequest = new { Version = "1.1" },
            Destinations = new { one = new { Address = string.Create(CultureInfo.InvariantCulture, $"https://localhost:{port}"), Host = host } },
        };
        await using var gateway = await GatewayProcess.StartAsync(Config(cluster, original is not null));

        Expect.Problem(502, "outcome-uncertain", await PayAsync(gateway, original));
        var retry = await PayUntilSettledAsync(gateway, original);

        Assert.Equal(1, Volatile.Read(ref paid));
        Assert.True(names.Count >= 2, "one handshake, so that nothing is shown of the probe's");
        Assert.All(names, name => Assert.Equal(expected, name));
        Assert.Equal((200, true), (retry.Status, retry.IsReplay));
    }

    /// <summary>The route forwards payments to the destination whose name comes first.</summary>
    private object ClusterOf(bool affinity, IReadOnlyDictionary<string, string>? others = null) => new
    {
        LoadBalancingPolicy = "FirstAlphabetical",
        SessionAffinity = affinity ? new { Enabled = true, Policy = "HashCookie", AffinityKeyName = "site" } : null,
        Destinations = new Dictionary<string, string>(others ?? new Dictionary<string, string>()) { ["a"] = _first!.Url, ["b"] = _second!.Url }
            .ToDictionary(item => item.Key, item => new { Address = item.Value }),
    };

    private static string Config(object cluster, bool forwardsOriginalHost = false) => JsonSerializer.Serialize(
        new
        {
            Store = GatewayConfig.Embedded,
            Idempotency = new { Policies = new { probe = new { Uncertain = new { Retries = "Probe", Probe = new { Path = "/payments?ref={key}", AbsentAfter = "00:00:00" } } } } },
            ReverseProxy = new
            {
                Routes = new
                {
                    pay = new
                    {
                        ClusterId = "bank",
                        Match = new { Path = "/payments" },
                        Metadata = new { Idempotency = "probe" },
                        Transforms = forwardsOriginalHost ? (object[])[new { RequestHeaderOriginalHost = "true" }] : [],
                    },
                },
                Clusters = new { bank = cluster },
            },
        },
        Options);

    private static IReadOnlyList<Arrival> PaymentsAt(ScriptedBackend backend) => [.. backend.Ledger.Where(arrival => arrival.Method == "POST")];

    private Task<Answer> PayAsync(GatewayProcess gateway, string? host = null) =>
        KeyedRequests.PostAsync(_client, gateway.Url + "/payments", _key, headers: host is null ? [] : [new("Host", host)]);

    /// <summary>The sweeper may be at the same key, a moment before the retry: then the retry is told to come back.</summary>
    private async Task<Answer> PayUntilSettledAsync(GatewayProcess gateway, string? host = null)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PayAsync(gateway, host)).ProblemType != "in-progress", "settled");
        return answer!;
    }

    /// <summary>Pays, and loses the answer.</summary>
    private static async Task AnswerAsync(HttpContext context, Func<IReadOnlyList<Arrival>> payments)
    {
        if (HttpMethods.IsPost(context.Request.Method))
        {
            context.Abort();
            return;
        }

        context.Response.StatusCode = payments().Any(arrival => arrival.Key == context.Request.Query["ref"]) ? StatusCodes.Status200OK : StatusCodes.Status404NotFound;
        await context.Response.CompleteAsync();
    }
}
