using System.Net.Sockets;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>What comes over the wire is refused before anything is claimed, or reaches the backend once and as it was.</summary>
public sealed class BadInputTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    public static TheoryData<string> Names => [.. BadInputs.All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task AnInput_IsRefusedAndClaimsNothing_OrArrivesOnce(string name)
    {
        var input = BadInputs.All[name];
        var before = gateway.Backend.Ledger.Count;

        var answer = await ExchangeAsync(input.Request);

        Assert.Equal(input.Arrivals, gateway.Backend.Ledger.Count - before);
        Assert.Equal(input.Status, answer?.Status);
        if (input.Arrivals == 0)
        {
            await AssertKeyIsFreeAsync();
            Assert.Equal(1, gateway.Backend.Ledger.Count - before);
        }
    }

    [Fact]
    public async Task AnHttp2Preface_GetsNoAnswerFromTheBackend()
    {
        var before = gateway.Backend.Ledger.Count;
        await using var client = await RawClient.ConnectAsync(gateway.Url);
        await client.SendAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0");

        var closed = await Record.ExceptionAsync(async () => Assert.InRange((await client.ReadResponseAsync())?.Status ?? 400, 400, 505));

        Assert.Equal(before, gateway.Backend.Ledger.Count);
        Assert.True(closed is null or IOException or SocketException, closed?.ToString());
        await AssertKeyIsFreeAsync();
    }

    [Fact]
    public async Task WhatTheClientSaysOfItsConnectionAndOfItsWay_IsNotPassedOn()
    {
        string[] lines = ["Proxy-Authorization: Basic YTpi", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /evil", "Connection: X-Hop", "X-Hop: 1", "TE: trailers"];

        var answer = await gateway.PostRawAsync(_path, "{}", [$"Idempotency-Key: {_key}", .. lines]);

        var arrival = Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal(201, answer.Status);
        Assert.Equal((null, null), (arrival.Header("Proxy-Authorization"), arrival.Header("X-Hop")));
        Assert.Equal(("127.0.0.1", new Uri(gateway.Url).Authority), (arrival.Header("X-Forwarded-For"), arrival.Header("X-Forwarded-Host")));
        Assert.Equal(("http", null), (arrival.Header("X-Forwarded-Proto"), arrival.Header("X-Forwarded-Prefix")));
    }

    [Theory]
    [InlineData("websocket")]
    [InlineData("h2c")]
    public async Task AnUpgradeOfARequestWithABody_IsNotPassedOn(string protocol)
    {
        await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}", "Connection: Upgrade", $"Upgrade: {protocol}");

        var arrival = Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal(("POST", null, null), (arrival.Method, arrival.Header("Upgrade"), arrival.Header("Connection")));
    }

    [Fact]
    public async Task AnEncodedLineEnd_StaysEncoded()
    {
        var target = _path + "?x=%0d%0aX-Injected:1";

        await gateway.PostRawAsync(target, "{}", $"Idempotency-Key: {_key}");

        Assert.Null(Assert.Single(gateway.ArrivalsAt(target)).Header("X-Injected"));
    }

    [Theory]
    [InlineData("Range: bytes=0-1")]
    [InlineData("If-Match: \"a\"")]
    [InlineData("If-None-Match: *")]
    [InlineData("Content-Encoding: gzip")]
    public async Task AFieldThatCanChangeTheAnswer_MakesAnotherRequest(string line)
    {
        var first = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");
        var other = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}", line);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, 422), (first.Status, other.Status));
    }

    [Theory]
    [InlineData("{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}")]
    [InlineData("{}", "{ }")]
    [InlineData("--one\r\n\r\n--one--", "--two\r\n\r\n--two--")]
    public async Task TheSameContentInOtherBytes_IsAnotherRequest(string body, string otherBody)
    {
        var first = await gateway.PostRawAsync(_path, body, $"Idempotency-Key: {_key}");
        var other = await gateway.PostRawAsync(_path, otherBody, $"Idempotency-Key: {_key}");

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, 422), (first.Status, other.Status));
    }

    // In one test, so that their waits (5 s of grace, which is the server's default) pass together.
    [Fact]
    public async Task ABodyThatDoesNotCome_IsGivenUp_AndClaimsNothing()
    {
        string[] framings = ["Content-Length: 9\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"];
        var head = $"POST {_path} HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nIdempotency-Key: {_key}\r\n";

        var answers = await Task.WhenAll(framings.Select(framing => RawClient.ExchangeAsync(gateway.Url, head + framing)));

        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal([408, 408, 408], answers.Select(answer => answer?.Status));
        await AssertKeyIsFreeAsync();
    }

    // 10 s, instead of the server's default of 30.
    [Fact]
    public async Task AHeaderSectionThatDoesNotEnd_IsGivenUp_AndClaimsNothing()
    {
        await using var client = await RawClient.ConnectAsync(gateway.Url);
        var started = TimeProvider.System.GetTimestamp();
        await client.SendAsync($"POST {_path} HTTP/1.1\r\nHost: api.example\r\nIdempotency-Key: {_key}\r\nX-Slow: ");

        var answer = await client.ReadResponseAsync();

        Assert.Empty(gateway.ArrivalsAt(_path));
        Assert.Equal(408, answer?.Status);
        Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.FromSeconds(9), TimeSpan.FromSeconds(20));
        await AssertKeyIsFreeAsync();
    }

    private Task<Http1Message?> ExchangeAsync(string request) => RawClient.ExchangeAsync(
        gateway.Url,
        request.Replace("PATH", _path, StringComparison.Ordinal)
            .Replace("KEY", _key, StringComparison.Ordinal)
            .Replace("HOST", new Uri(gateway.Url).Authority, StringComparison.Ordinal));

    private async Task AssertKeyIsFreeAsync()
    {
        var corrected = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, null), (corrected.Status, corrected.Header("Idempotent-Replayed")));
    }
}
