using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// One forward, one arrival: whatever the request, whatever the connection, and whatever the backend says of what it did not process.
/// .NET's client sends by itself again what it takes to be unprocessed.
/// </summary>
public sealed class OneArrivalTests(SilentBackends backends) : IClassFixture<SilentBackends>
{
    private readonly string _key = EmbeddedGateway.NewKey();

    public static TheoryData<string> Cases => [.. SilentCase.All.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task ARequestThatIsNotAnswered_ArrivesOnce(string name)
    {
        var one = SilentCase.All[name];
        if (one.IsReused)
        {
            Assert.Equal(200, (await SendAsync(one, $"{one.Route}/{SilentBackends.Answered}", EmbeddedGateway.NewKey())).Status);
        }

        var first = await SendAsync(one, one.Target, _key);
        var retry = await SendAsync(one, one.Target, _key);

        Assert.Equal([one.IsReused], backends.ArrivalsOf([_key]));
        AssertUncertain(502, first);
        AssertUncertain(409, retry);
    }

    [Fact]
    public async Task AThousandRequestsWithoutABody_ThatAreNotAnswered_AreAThousandArrivals()
    {
        var one = SilentCase.All.Values.First(one => one is { Version: "1.1", Method: "POST", Body: SilentCase.NoBody, IsReused: true });
        var keys = Enumerable.Range(0, 1000).Select(_ => EmbeddedGateway.NewKey()).ToHashSet();

        await Parallel.ForEachAsync(keys, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (key, _) =>
        {
            Assert.Equal(200, (await SendAsync(one, $"{one.Route}/{SilentBackends.Answered}", EmbeddedGateway.NewKey())).Status);
            AssertUncertain(502, await SendAsync(one, one.Target, key));
        });

        var arrivals = backends.ArrivalsOf(keys);
        Assert.Equal(1000, arrivals.Count);
        Assert.True(arrivals.Count(isReused => isReused) > 500, "most went over connections that were used before");
    }

    [Fact]
    public async Task APostThatItsRouteSendsAsAGet_ArrivesOnce()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            while (await connection.ReadRequestAsync() is { } request && request.Header("Idempotency-Key") != _key)
            {
                await connection.SendResponseAsync(200, "ok");
            }
        });
        var route = new GatewayRoute("/{**rest}", backend.Url) { Transforms = [new() { ["HttpMethodChange"] = "POST", ["Set"] = "GET" }] };
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(GatewayConfig.Embedded, new { }, route));
        Task<Http1Message?> PostAsync(string key) => RawClient.ExchangeAsync(gateway.Url, $"POST /orders HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {key}\r\n\r\n");
        Assert.Equal(200, (await PostAsync(EmbeddedGateway.NewKey()))!.Status);

        var first = await PostAsync(_key);

        Assert.Equal("GET", Assert.Single(backend.Requests, request => request.Header("Idempotency-Key") == _key).Method);
        AssertUncertain(502, first!);
    }

    // A resend would meet the refusal, and "refused" would be taken for "never sent".
    [Theory]
    [InlineData("")]
    [InlineData("Content-Length: 2\r\n\r\n{}")]
    public async Task ABackendThatTakesARequest_AndThenRefusesConnections_MayHaveExecutedIt(string body)
    {
        TcpProxy? network = null;
        await using var backend = RawBackend.Start(async connection =>
        {
            while (await connection.ReadRequestAsync() is { } request && request.Header("Idempotency-Key") != _key)
            {
                await connection.SendResponseAsync(200, "ok");
            }

            network!.Refuse();
        });
        await using var proxy = network = TcpProxy.Start(new Uri(backend.Url).Authority);
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", $"http://{proxy.Endpoint}")));
        Task<Http1Message?> PostAsync(string key) => RawClient.ExchangeAsync(
            gateway.Url, $"POST /orders HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {key}\r\n{(body.Length > 0 ? body : "\r\n")}");
        Assert.Equal(200, (await PostAsync(EmbeddedGateway.NewKey()))!.Status);

        var first = await PostAsync(_key);
        var other = await PostAsync(EmbeddedGateway.NewKey());
        network.Heal();
        var retry = await PostAsync(_key);

        Assert.Single(backend.Requests, request => request.Header("Idempotency-Key") == _key);
        Assert.Contains("#backend-unreachable", other!.Text, StringComparison.Ordinal);
        AssertUncertain(502, first!);
        AssertUncertain(409, retry!);
    }

    private async Task<Http1Message> SendAsync(SilentCase one, string target, string key)
    {
        string[] framing = one.Body switch
        {
            SilentCase.NoBody => [],
            SilentCase.Expecting => ["Expect: 100-continue", "Content-Length: 2"],
            _ => ["Content-Length: 2"],
        };
        string[] head = [$"{one.Method} {target} HTTP/1.1", "Host: api.example", $"Idempotency-Key: {key}", .. framing];
        var body = one.Body == SilentCase.NoBody ? "" : "{}";
        return (await RawClient.ExchangeAsync(backends.Url, string.Join("\r\n", head) + "\r\n\r\n" + body))!;
    }

    private static void AssertUncertain(int status, Http1Message answer)
    {
        Assert.Equal(status, answer.Status);
        Assert.Contains("/.well-known/idempotency#outcome-uncertain", answer.Text, StringComparison.Ordinal);
    }
}
