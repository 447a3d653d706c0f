using System.IO.Compression;
using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>The header fields of an answer, on the wire: what is relayed, what is replayed, and in which form.</summary>
public sealed class AnswerFieldTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath("/raw");
    private readonly string _key = EmbeddedGateway.NewKey();

    [Fact]
    public async Task MultipleValues_StayApart_AndInOrder()
    {
        var (first, retry) = await PostTwiceAsync(["X-Multi: b, c", "X-Other: 1", "X-Multi: a"]);

        Assert.Equal(["b, c", "a"], first.HeaderValues("X-Multi"));
        Assert.Equal(["b, c", "a"], retry.HeaderValues("X-Multi"));
    }

    [Fact]
    public async Task FieldsThatConnectionNames_AreNeitherRelayedNorReplayed()
    {
        var (first, retry) = await PostTwiceAsync([
            "Connection: X-Hop, keep-alive, Content-Language", "X-Hop: 1", "Content-Language: en", "Keep-Alive: timeout=5",
            "Proxy-Authenticate: Basic", "X-End: 1",
        ]);

        Assert.All([first, retry], answer =>
        {
            Assert.Null(answer.Header("X-Hop"));
            Assert.Null(answer.Header("Content-Language"));
            Assert.Null(answer.Header("Keep-Alive"));
            Assert.Null(answer.Header("Proxy-Authenticate"));
            Assert.Equal("1", answer.Header("X-End"));
        });
    }

    [Fact]
    public async Task AByteAboveAscii_IsPassedOn_AndReplayed()
    {
        var (first, retry) = await PostTwiceAsync(["X-Name: caf\u00e9", "Location: /caf\u00e9"]);

        Assert.Equal(("caf\u00e9", "/caf\u00e9"), (first.Header("X-Name"), first.Header("Location")));
        Assert.Equal(("caf\u00e9", "/caf\u00e9"), (retry.Header("X-Name"), retry.Header("Location")));
    }

    [Fact]
    public async Task AFieldWithoutAValue_IsOneToo()
    {
        var (first, retry) = await PostTwiceAsync(["X-Empty:", "X-Mixed:", "X-Mixed: a"]);

        Assert.All([first, retry], answer =>
        {
            Assert.Equal([""], answer.HeaderValues("X-Empty"));
            Assert.Equal(["", "a"], answer.HeaderValues("X-Mixed"));
        });
    }

    [Fact]
    public async Task Date_IsTheOriginals()
    {
        const string Date = "Tue, 15 Nov 1994 08:12:31 GMT";

        var (first, retry) = await PostTwiceAsync([$"Date: {Date}"]);

        Assert.Equal((Date, Date), (first.Header("Date"), retry.Header("Date")));
    }

    [Fact]
    public async Task ForgedFieldsOfTheBackend_DoNotPassAsTheGateways()
    {
        var (first, retry) = await PostTwiceAsync(["Idempotent-Replayed: true", "Idempotency-Status: bypassed"]);

        Assert.Equal(("true", null), (first.Header("Idempotent-Replayed"), first.Header("Idempotency-Status"))); // it knows keys itself
        Assert.Equal(("true", null), (retry.Header("Idempotent-Replayed"), retry.Header("Idempotency-Status")));
    }

    [Fact]
    public async Task AnEmptyAnswerWithALength_IsAnEmptyAnswer()
    {
        gateway.AnswerRawAt(_path, connection => connection.SendAsync("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"));

        var first = await gateway.PostRawAsync(_path, "{}", KeyLine);
        var retry = await gateway.PostRawAsync(_path, "{}", KeyLine);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((204, 204), (first.Status, retry.Status));
        Assert.Equal((null, "true"), (first.Header("Content-Length"), retry.Header("Idempotent-Replayed")));
    }

    [Fact]
    public async Task ACompressedAnswer_IsReplayedAsItWas_OrDecodedForWhoCannotReadIt()
    {
        var path = EmbeddedGateway.NewPath();
        var text = string.Concat(Enumerable.Repeat("compress me ", 1000));
        gateway.AnswerAt(path, async context =>
        {
            context.Response.ContentType = "text/plain";
            context.Response.Headers.ContentEncoding = "gzip";
            context.Response.Headers["Content-Digest"] = "sha-256=:AAAA:"; // of the coded bytes
            context.Response.Headers.ETag = "\"coded\"";
            await using var gzip = new GZipStream(context.Response.Body, CompressionLevel.Fastest);
            await gzip.WriteAsync(Encoding.ASCII.GetBytes(text));
        });

        var first = await gateway.PostAsync(path, _key, headers: ("Accept-Encoding", "gzip"));
        var compressed = await gateway.PostAsync(path, _key, headers: ("Accept-Encoding", "br, gzip;q=0.5"));
        var anything = await gateway.PostAsync(path, _key);
        var decoded = await gateway.PostAsync(path, _key, headers: ("Accept-Encoding", "identity"));
        var refused = await gateway.PostAsync(path, _key, headers: ("Accept-Encoding", "br, gzip;q=0"));

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal("gzip", first.Header("Content-Encoding"));
        Expect.Replay(first, compressed);
        Expect.Replay(first, anything);
        Assert.All([first, compressed, anything], answer => Assert.Equal(("sha-256=:AAAA:", "\"coded\""), (answer.Header("Content-Digest"), answer.Header("ETag"))));
        Assert.All([decoded, refused], answer =>
        {
            Assert.Equal((200, true, null), (answer.Status, answer.IsReplay, answer.Header("Content-Encoding")));
            Assert.Contains("Accept-Encoding", answer.HeaderValues("Vary"));
            Assert.Equal((null, "W/\"coded\""), (answer.Header("Content-Digest"), answer.Header("ETag")));
            Assert.Equal(text, answer.Text);
        });
    }

    private string KeyLine => $"Idempotency-Key: {_key}";

    /// <summary>The answer with these header lines, and its replay, as they stand on the wire.</summary>
    private async Task<(Http1Message First, Http1Message Retry)> PostTwiceAsync(string[] headerLines)
    {
        gateway.AnswerRawAt(_path, connection => connection.SendResponseAsync(200, "answer", headerLines));

        var first = await gateway.PostRawAsync(_path, "{}", KeyLine);
        var retry = await gateway.PostRawAsync(_path, "{}", KeyLine);

        Assert.Single(gateway.RawArrivalsAt(_path));
        Assert.Equal((200, "answer"), (first.Status, first.Text));
        Assert.Equal((200, "answer", "true"), (retry.Status, retry.Text, retry.Header("Idempotent-Replayed")));
        return (first, retry);
    }
}
