using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Nothing is claimed before the whole body is there, and within its bound.</summary>
public sealed class RequestBodyTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath("/small");
    private readonly string _key = EmbeddedGateway.NewKey();

    private static string TooLarge { get; } = new('x', EmbeddedGateway.SmallLimit + 1);

    [Fact]
    public async Task ABodyOverTheLimit_IsRefused_AndClaimsNothing()
    {
        var refused = await gateway.PostAsync(_path, _key, TooLarge);
        Assert.Empty(gateway.ArrivalsAt(_path));
        Expect.Problem(413, "request-too-large", refused);

        var accepted = await gateway.PostAsync(_path, _key, TooLarge[1..]);

        Assert.Equal(EmbeddedGateway.SmallLimit, Assert.Single(gateway.ArrivalsAt(_path)).Body.Length);
        Assert.Equal((201, false), (accepted.Status, accepted.IsReplay));
    }

    [Fact]
    public async Task AChunkedBodyOverTheLimit_IsRefused_AndClaimsNothing()
    {
        var refused = await gateway.PostChunkedAsync(_path, Chunked(TooLarge), KeyLine);
        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(413, refused.Status);

        var accepted = await gateway.PostChunkedAsync(_path, Chunked("small"), KeyLine);

        Assert.Equal("small"u8.ToArray(), Assert.Single(gateway.ArrivalsAt(_path)).Body);
        Assert.Equal(201, accepted.Status);
    }

    [Fact]
    public async Task AChunkedBody_AndOneOfKnownLength_AreTheSameRequest()
    {
        var first = await gateway.PostChunkedAsync(_path, Chunked("small"), KeyLine);
        var retry = await gateway.PostRawAsync(_path, "small", KeyLine);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, "true"), (first.Status, retry.Header("Idempotent-Replayed")));
        Assert.Equal(first.Body, retry.Body);
    }

    [Fact]
    public async Task ABodyThatIsSpooledToAFile_ReachesTheBackendWhole()
    {
        var path = EmbeddedGateway.NewPath();
        var body = System.Security.Cryptography.RandomNumberGenerator.GetBytes(700_000);

        var first = await KeyedRequests.SendAsync(gateway.Client, HttpMethod.Post, gateway.Url + path, _key, body);
        var retry = await KeyedRequests.SendAsync(gateway.Client, HttpMethod.Post, gateway.Url + path, _key, body);

        Assert.Equal(body, Assert.Single(gateway.ArrivalsAt(path)).Body);
        Expect.Replay(first, retry);
    }

    [Theory]
    [InlineData(100)]
    [InlineData(500_000)]
    public async Task AClientThatDiesWhileSending_ClaimsNothing(int length)
    {
        var path = EmbeddedGateway.NewPath();
        var body = new string('x', length);
        var request = gateway.RawRequest("POST", path, body, KeyLine);
        await using var dying = await RawClient.ConnectAsync(gateway.Url);
        await dying.SendAsync(request[..^(length / 2)]);
        var other = await gateway.PostAsync(EmbeddedGateway.NewPath(), EmbeddedGateway.NewKey());
        Assert.Equal(201, other.Status);
        Assert.Contains("\"openClaims\":0", await gateway.Client.GetStringAsync(gateway.Process.AdminUrl + "/readyz"), StringComparison.Ordinal);
        dying.Abort();

        var retry = await gateway.PostRawAsync(path, body, KeyLine);

        Assert.Equal(length, Assert.Single(gateway.ArrivalsAt(path)).Body.Length);
        Assert.Equal((201, null), (retry.Status, retry.Header("Idempotent-Replayed")));
        Assert.DoesNotContain(gateway.Process.Output, line => line.StartsWith("fail:", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ABodyThatEndsEarly_IsRefused_AndClaimsNothing()
    {
        await using var client = await RawClient.ConnectAsync(gateway.Url);
        await client.SendAsync(gateway.RawRequest("POST", _path, "whole", KeyLine)[..^2]);
        client.CloseSending();
        Assert.Equal(400, (await client.ReadResponseAsync())?.Status ?? 400);
        Assert.Empty(gateway.ArrivalsAt(_path));

        var retry = await gateway.PostRawAsync(_path, "whole", KeyLine);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, null), (retry.Status, retry.Header("Idempotent-Replayed")));
    }

    [Fact]
    public async Task AMalformedChunk_IsRefused_AndClaimsNothing()
    {
        var refused = await gateway.PostChunkedAsync(_path, "5\r\nsmall\r\n0x1\r\n!\r\n0\r\n\r\n", KeyLine);
        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(400, refused.Status);

        var retry = await gateway.PostRawAsync(_path, "small", KeyLine);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, null), (retry.Status, retry.Header("Idempotent-Replayed")));
    }

    [Fact]
    public async Task ABodyWithTwoLengths_IsRefused_AndClaimsNothing()
    {
        var refused = await gateway.PostChunkedAsync(_path, Chunked("small"), KeyLine, "Content-Length: 5");
        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(400, refused.Status);

        var retry = await gateway.PostRawAsync(_path, "small", KeyLine);

        Assert.Null(Assert.Single(gateway.ArrivalsAt(_path)).Header("X-Content-Length"));
        Assert.Equal((201, null), (retry.Status, retry.Header("Idempotent-Replayed")));
    }

    private string KeyLine => $"Idempotency-Key: {_key}";

    private static string Chunked(string body) => $"{body.Length:x}\r\n{body}\r\n0\r\n\r\n";
}
