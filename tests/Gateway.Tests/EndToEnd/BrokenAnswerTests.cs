using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// Backends that break off. What was sent is never sent again, and a part of an answer is never taken for the whole.
/// </summary>
public sealed class BrokenAnswerTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath("/raw");
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [InlineData("FIN", null)]
    [InlineData("FIN", "{}")]
    [InlineData("RST", null)]
    [InlineData("RST", "{}")]
    public async Task AReusedConnectionThatClosesWithoutAnAnswer_IsOneArrival(string end, string? body)
    {
        var connectionNumber = 0;
        gateway.AnswerRawAt(_path, connection =>
        {
            connectionNumber = connection.Number;
            if (end == "RST")
            {
                connection.Reset();
            }

            return Task.CompletedTask;
        });
        var before = await gateway.PostAsync(EmbeddedGateway.NewPath("/raw"), EmbeddedGateway.NewKey());

        var first = await gateway.PostRawAsync(_path, body, $"Idempotency-Key: {_key}");
        var retry = await gateway.PostRawAsync(_path, body, $"Idempotency-Key: {_key}");

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal(before.Header("X-Connection"), connectionNumber.ToString(provider: null));
        AssertUncertain(502, first);
        AssertUncertain(409, retry);
    }

    [Theory]
    [InlineData("Content-Length: 10\r\n\r\nhalf")]
    [InlineData("Content-Length: 10\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n")]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n")]
    [InlineData("X-Head-Is-Cut: tru")]
    public async Task ACutAnswer_IsNeverPassedOffAsWhole(string headersAndBody)
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync("HTTP/1.1 201 Created\r\n" + headersAndBody));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.DoesNotContain("half", first.Text, StringComparison.Ordinal);
        Expect.Uncertain(retry);
    }

    [Fact]
    public async Task NonsenseInsteadOfAnAnswer_IsUncertain()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync("who is there?\r\n\r\n"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Expect.Problem(502, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }

    [Fact]
    public async Task AnAnswerThatEndsWithItsConnection_IsGivenOnce_BecauseACutOneWouldLookWhole()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync("HTTP/1.1 201 Created\r\nLocation: /made/1\r\n\r\nwhole, perhaps"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((201, "whole, perhaps", "answer-not-kept"), (first.Status, first.Text, first.Header("Idempotency-Status")));
        Expect.NotKept(TombstoneReason.Unframed, 201, "/made/1", retry);
    }

    [Fact]
    public async Task ALargeAnswerThatIsCut_IsCutForTheClientToo()
    {
        var path = EmbeddedGateway.NewPath("/raw-small");
        var part = new string('x', 2 * EmbeddedGateway.SmallLimit);
        gateway.AnswerRawAt(path, connection => connection.SendAsync("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + part));

        var first = await gateway.PostRawAsync(path, "{}", $"Idempotency-Key: {_key}", "Content-Type: application/json");
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.RawArrivalsAt(path));
        Assert.False(first is { IsComplete: true }); // null: the reset overtook what was sent
        Expect.NotKept(TombstoneReason.TooLarge, 200, null, retry);
    }

    [Fact]
    public async Task APartOfSomething_IsNotTheAnswerToARetry()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendResponseAsync(206, "part", "Content-Range: bytes 0-3/100"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((206, "part"), (first.Status, first.Text));
        Expect.NotKept(TombstoneReason.Partial, 206, null, retry);
    }

    [Fact]
    public async Task AnAnswerThatCannotBeRelayed_IsKnownToBeExecuted()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendResponseAsync(201, "made", "X-Control: a\u0001b"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.Equal("answer-not-kept", first.Header("Idempotency-Status"));
        Expect.NotKept(TombstoneReason.Headers, 201, null, retry);
    }

    private static void AssertUncertain(int status, Http1Message answer)
    {
        Assert.Equal(status, answer.Status);
        Assert.Equal("application/problem+json", answer.Header("Content-Type"));
        Assert.Contains("/.well-known/idempotency#outcome-uncertain", answer.Text, StringComparison.Ordinal);
        Assert.Null(answer.Header("Retry-After"));
    }
}
