using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Answers on the edge of what HTTP allows, and beyond it: relayed and recorded as one reading of them, or not known.</summary>
public sealed class OddAnswerTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath("/raw");
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [InlineData("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nok", 999, "ok", null)]
    [InlineData("HTTP/1.1 200 OK\r\nX-Odd: a\r\n b\r\nContent-Length: 2\r\n\r\nok", 200, "ok", "a   b")]
    [InlineData("HTTP/1.1 200 OK\r\nX-Odd: a\rb\r\nContent-Length: 2\r\n\r\nok", 200, "ok", "a b")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", null)]
    [InlineData("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", 201, "ok", null)]
    [InlineData("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok", 201, "ok", null)]
    [InlineData("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", 304, "", null)]
    [InlineData("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204, "", null)]
    [InlineData("HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok", 205, "", null)]
    public async Task AnOddAnswer_IsRelayed_AndReplayed(string answer, int status, string body, string? field)
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync(answer));

        var first = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");
        var retry = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((status, body, field, true), (first.Status, first.Text, first.Header("X-Odd"), first.IsComplete));
        Assert.Equal((status, body, field, "true"), (retry.Status, retry.Text, retry.Header("X-Odd"), retry.Header("Idempotent-Replayed")));
        Assert.Null(retry.Header("Link"));
    }

    [Theory]
    [InlineData("HTTP/1.1 1000 Odd\r\nContent-Length: 2\r\n\r\nok")]
    [InlineData("HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok")]
    [InlineData("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n: nameless\r\n\r\nok")]
    public async Task AnAnswerThatIsNone_LeavesTheKeyUncertain(string answer)
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync(answer));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Expect.Problem(502, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }

    [Fact]
    public async Task AnAnswerWithTwoLengths_IsKnownToBeExecuted()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync("HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Expect.Problem(502, "outcome-uncertain", first);
        Expect.NotKept(TombstoneReason.Headers, 201, null, retry);
    }

    [Theory]
    [InlineData("Trailer: X-Sum\r\n")]
    [InlineData("")]
    public async Task AnAnswerWithTrailers_IsGivenOnce(string announcement)
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync(
            $"HTTP/1.1 201 Created\r\n{announcement}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"));

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((201, "ok", "answer-not-kept"), (first.Status, first.Text, first.Header("Idempotency-Status")));
        Expect.NotKept(TombstoneReason.Trailers, 201, null, retry);
    }

    [Fact]
    public async Task ABodyThatStalls_LeavesTheKeyUncertain()
    {
        var path = EmbeddedGateway.NewPath("/impatient");
        using var stalled = new SyncPoint();
        gateway.AnswerAt(path, async context =>
        {
            context.Response.ContentLength = 4;
            await context.Response.WriteAsync("ha");
            await context.Response.Body.FlushAsync();
            await stalled.Released;
        });

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);
        stalled.Release();

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Problem(first.Status == 504 ? 504 : 502, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }
}
