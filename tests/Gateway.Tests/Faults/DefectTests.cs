using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// The checks, checked: each scenario runs with the gateway as it is, where its invariant holds, and with one deliberate defect, where
/// the same observation must show that it does not.
/// </summary>
public sealed class DefectTests : IAsyncLifetime
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-defect-");
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    /// <summary>A file that no other gateway uses.</summary>
    private object Embedded => new { Kind = "Embedded", Embedded = new { Path = Path.Combine(_directory.FullName, $"{Guid.NewGuid():N}.db") } };

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
        _directory.Delete(recursive: true);
    }

    // A reused connection that closes without an answer, and a request without content: what .NET's client repeats by itself.
    [Theory]
    [InlineData(null)]
    [InlineData("resend-cure-off")]
    public async Task OneForwardIsOneArrival(string? defect)
    {
        await using var raw = RawBackend.Start(AnswerFirstOnlyAsync);
        await using var gateway = await HookedGateway.StartAsync(ConfigOf(Embedded, raw.Url), defect: defect);
        Assert.Equal(200, (await PostRawAsync(gateway.Url, EmbeddedGateway.NewKey())).Status);

        var first = await PostRawAsync(gateway.Url, _key);

        var arrivals = raw.Requests.Count(request => request.Header("Idempotency-Key") == _key);
        Assert.Equal(502, first.Status);
        Assert.Equal(defect is null, arrivals == 1);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("scope-ignored")]
    public async Task OneCallersAnswer_IsNeverAnothers(string? defect)
    {
        await using var gateway = await HookedGateway.StartAsync(ConfigOf(Embedded, Backend.Url), defect: defect);

        var alice = await PostAsync(gateway.Url, "Bearer alice");
        var bob = await PostAsync(gateway.Url, "Bearer bob");

        Assert.Equal(defect is null ? 2 : 1, Backend.Ledger.Count);
        Assert.Equal(defect is null, bob.Text != alice.Text);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("release-on-any-error")]
    public async Task ARequestThatMayHaveArrived_IsNotSentAgain(string? defect)
    {
        await using var raw = RawBackend.Start(connection => connection.ReadRequestAsync());
        await using var gateway = await HookedGateway.StartAsync(ConfigOf(Embedded, raw.Url), defect: defect);

        var first = await PostAsync(gateway.Url);
        var retry = await PostAsync(gateway.Url);

        Assert.Equal(defect is null ? 1 : 2, raw.Requests.Count);
        Assert.Equal(("outcome-uncertain", 502), (first.ProblemType, first.Status));
        Assert.Equal(("outcome-uncertain", defect is null ? 409 : 502), (retry.ProblemType, retry.Status));
    }

    private static string ConfigOf(object store, string backend) => GatewayConfig.Write(
        store, new { brief = new { Lease = CrashScenario.Lease.ToString("c") } }, new GatewayRoute("/{**rest}", backend, "brief"));

    private static async Task AnswerFirstOnlyAsync(RawConnection connection)
    {
        if (await connection.ReadRequestAsync() is not null && connection.Number == 1)
        {
            await connection.SendResponseAsync(StatusCodes.Status200OK, "ok");
            await connection.ReadRequestAsync();
        }
    }

    private static async Task<Http1Message> PostRawAsync(string url, string key) =>
        (await RawClient.ExchangeAsync(url, $"POST /orders HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {key}\r\n\r\n"))!;

    private Task<Answer> PostAsync(string url, string? credential = null)
    {
        var host = KeyValuePair.Create("Host", "api.example");
        return KeyedRequests.PostAsync(
            _client, url + "/orders", _key, headers: credential is null ? [host] : [host, KeyValuePair.Create("Authorization", credential)]);
    }
}
