using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>Client and backend below HTTP: what they report is what was on the wire.</summary>
public sealed class RawTests
{
    [Fact]
    public async Task RawClient_ReadsChunks_MultiValues_AndTrailers()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendAsync("HTTP/1.1 100 Continue\r\n\r\n");
            await connection.SendAsync("HTTP/1.1 200 OK\r\nX-A: 1\r\nx-b: 2\r\nX-A: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
            await connection.SendAsync("5;ext=1\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 9\r\n\r\n");
        });

        const string request = "POST /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        var response = await RawClient.ExchangeAsync(backend.Url, request);

        Assert.Equal("abc", Assert.Single(backend.Requests).Text);
        Assert.Equal("/raw", Assert.Single(backend.Requests).Target);
        Assert.Equal((200, "hello world", true), (response!.Status, response.Text, response.IsComplete));
        Assert.Equal(["X-A", "x-b", "X-A", "Transfer-Encoding"], response.Headers.Select(field => field.Key));
        Assert.Equal(["1", "3"], response.HeaderValues("x-a"));
        Assert.Equal("9", Assert.Single(response.Trailers).Value);
    }

    [Theory]
    [InlineData("Content-Length: 10\r\n\r\nhalf", false, Http1Framing.ContentLength, false)]
    [InlineData("Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", false, Http1Framing.Chunked, false)]
    [InlineData("\r\nhalf", false, Http1Framing.Close, true)]
    [InlineData("Content-Length: 10\r\n\r\nhalf", true, Http1Framing.ContentLength, false)]
    [InlineData("\r\nhalf", true, Http1Framing.Close, false)]
    public async Task RawClient_TellsACutAnswerFromAWholeOne(string headersAndBody, bool reset, Http1Framing framing, bool isComplete)
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendAsync("HTTP/1.1 200 OK\r\n" + headersAndBody);
            if (reset)
            {
                connection.Reset();
            }
        });
        await using var client = await RawClient.ConnectAsync(backend.Url);
        await client.SendAsync("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

        var response = await client.ReadResponseAsync();

        Assert.Equal((framing, isComplete), (response!.Framing, response.IsComplete));
    }

    [Fact]
    public async Task RawBackend_ClosesAReusedConnection_WithoutAnswering()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendResponseAsync(200, "ok", "X-One: 1");
            await connection.ReadRequestAsync();
        });
        await using var client = await RawClient.ConnectAsync(backend.Url);
        await client.SendAsync("GET /1 HTTP/1.1\r\nHost: x\r\n\r\n");
        var first = await client.ReadResponseAsync();
        await client.SendAsync("GET /2 HTTP/1.1\r\nHost: x\r\n\r\n");

        Assert.Null(await client.ReadResponseAsync());
        Assert.Equal(("ok", "1"), (first!.Text, first.Header("X-One")));
        Assert.Equal(2, backend.Requests.Count);
        Assert.Equal(1, backend.ConnectionsAccepted);
    }
}
