using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Which requests are guarded, and that all others pass as if the gateway were not there.</summary>
public sealed class GateTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [InlineData("GET")]
    [InlineData("HEAD")]
    [InlineData("OPTIONS")]
    public async Task ASafeRequest_IsNeverClaimed(string method)
    {
        var request = gateway.RawRequest(method, _path, null, $"Idempotency-Key: {_key}");

        var first = await RawClient.ExchangeAsync(gateway.Url, request);
        var second = await RawClient.ExchangeAsync(gateway.Url, request);

        Assert.Equal([(method, _key), (method, _key)], gateway.ArrivalsAt(_path).Select(arrival => (arrival.Method, arrival.Key)));
        Assert.Equal((201, 201), (first!.Status, second!.Status));
        Assert.Null(second.Header("Idempotent-Replayed"));
    }

    [Fact]
    public async Task AMethodThatThePolicyDoesNotName_IsNotClaimed()
    {
        foreach (var _ in Enumerable.Range(0, 2))
        {
            var answer = await KeyedRequests.SendAsync(gateway.Client, HttpMethod.Put, gateway.Url + _path, _key, "{}"u8.ToArray());
            Assert.Equal((201, false), (answer.Status, answer.IsReplay));
        }

        Assert.Equal(2, gateway.ArrivalsAt(_path).Count);
    }

    [Fact]
    public async Task ARouteWithoutAPolicy_IsLeftAlone()
    {
        var path = EmbeddedGateway.NewPath("/plain");

        var first = await gateway.PostAsync(path, _key);
        var second = await gateway.PostAsync(path, _key);

        Assert.Equal([_key, _key], gateway.ArrivalsAt(path).Select(arrival => arrival.Key));
        Assert.NotEqual(first.Text, second.Text);
        Assert.DoesNotContain(second.Headers, field => field.Key.StartsWith("Idempot", StringComparison.OrdinalIgnoreCase));
    }

    [Theory]
    [InlineData("Idempotent-Replayed")]
    [InlineData("Idempotency-Status")]
    [InlineData("Idempotency-Attempt")]
    public async Task AForgedField_DoesNotReachTheBackend(string name)
    {
        var path = EmbeddedGateway.NewPath("/optional");

        await gateway.PostAsync(path, _key, headers: (name, "true"));
        await gateway.PostAsync(path, key: null, headers: (name, "true"));

        Assert.Equal([_key, null], gateway.ArrivalsAt(path).Select(arrival => arrival.Key));
        Assert.All(gateway.ArrivalsAt(path), arrival => Assert.Null(arrival.Header(name)));
    }

    [Theory]
    [InlineData("post")]
    [InlineData("pAtCh")]
    public async Task AMethodInLowerCase_IsGuarded(string method)
    {
        var request = gateway.RawRequest(method, _path, "{}", $"Idempotency-Key: {_key}");

        var first = await RawClient.ExchangeAsync(gateway.Url, request);
        var retry = await RawClient.ExchangeAsync(gateway.Url, request);
        var upper = await RawClient.ExchangeAsync(gateway.Url, request.Replace(method, method.ToUpperInvariant(), StringComparison.Ordinal));

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, "true", "true"), (first!.Status, retry!.Header("Idempotent-Replayed"), upper!.Header("Idempotent-Replayed")));
        Assert.Equal(first.Body, upper.Body);
    }

    [Fact]
    public async Task AnUpgradeWithAKey_IsRefused()
    {
        var answer = await gateway.PostRawAsync(_path, null, $"Idempotency-Key: {_key}", "Connection: Upgrade", "Upgrade: websocket");

        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(501, answer.Status);
        Assert.Contains("#upgrade-not-supported", answer.Text, StringComparison.Ordinal);
        Assert.Equal(201, (await gateway.PostRawAsync(_path, null, $"Idempotency-Key: {_key}")).Status);
    }

    [Theory]
    [InlineData("Idempotency_Key: b")]
    [InlineData("X-Control: a\u0001b")]
    [InlineData("Connection: Idempotency-Key")]
    [InlineData("Connection: X-Hop, authorization")]
    public async Task ARequestThatCouldBeReadInTwoWays_IsRefused_AndClaimsNothing(string line)
    {
        var refused = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}", line);
        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(400, refused.Status);
        Assert.Contains("#request-invalid", refused.Text, StringComparison.Ordinal);

        var corrected = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, null), (corrected.Status, corrected.Header("Idempotent-Replayed")));
    }

    [Theory]
    [InlineData("/a%2Fb-", "/a%2Fb-")]
    [InlineData("//p-", "//p-")]
    [InlineData("/.hidden/a%2Fb-", "/.hidden/a%2Fb-")]
    [InlineData("/a%20b%c3%a9-", "/a%20b%c3%a9-")]
    [InlineData("/a?b=%2F&c='-", "/a?b=%2F&c='-")]
    [InlineData("/a/../p-", "/p-")]
    [InlineData("/a/%2e%2E/p-", "/p-")]
    [InlineData("/./p-", "/p-")]
    public async Task ATarget_ReachesTheBackendAsItWasWritten_DotsResolved(string sent, string arrived)
    {
        var first = await gateway.PostRawAsync(sent + _key, "{}", $"Idempotency-Key: {_key}");
        var retry = await gateway.PostRawAsync(sent + _key, "{}", $"Idempotency-Key: {_key}");

        Assert.Equal(arrived + _key, Assert.Single(gateway.Backend.ArrivalsFor(_key)).Target);
        Assert.Equal((201, "true"), (first.Status, retry.Header("Idempotent-Replayed")));
    }

    // Not together with close or keep-alive: Kestrel then forgets the names before anybody can read them.
    [Theory]
    [InlineData("Connection: X-Hop")]
    [InlineData("Connection: x-hop, X-Other")]
    public async Task FieldsThatConnectionNames_DoNotReachTheBackend(string connection)
    {
        await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}", connection, "X-Hop: 1", "Keep-Alive: 1", "X-End: 1");

        var arrival = Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((null, null, "1"), (arrival.Header("X-Hop"), arrival.Header("Keep-Alive"), arrival.Header("X-End")));
    }

    [Fact]
    public async Task ARequestFieldAboveAscii_ReachesTheBackendByteForByte()
    {
        var path = EmbeddedGateway.NewPath("/raw");

        await gateway.PostRawAsync(path, "{}", $"Idempotency-Key: {_key}", "X-Name: caf\u00e9");

        Assert.Equal("caf\u00e9", Assert.Single(gateway.RawArrivalsAt(path)).Header("X-Name"));
    }

    [Fact]
    public async Task TheBody_AndTheKey_ReachTheBackendUnchanged()
    {
        const string Body = "{ \"name\": \"caf\u00e9\" }";

        await gateway.PostAsync(_path, $"\"{_key}\"", Body);

        var arrival = Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal($"\"{_key}\"", arrival.Key);
        Assert.Equal(Encoding.UTF8.GetBytes(Body), arrival.Body);
        Assert.Equal(("application/json", null), (arrival.Header("Content-Type"), arrival.Header("Idempotency-Attempt")));
    }
}
