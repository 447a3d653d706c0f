using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Xunit;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Forwarding;

/// <summary>
/// Why the cures are there (docs/decisions/0018-facts-measured-again.md). A test that fails after an update names a cure that may have become
/// superfluous, or a fact that the gateway relied on.
/// </summary>
public sealed class PlainYarpTests
{
    private const int Warm = 8;

    private static string Post(string target, params string[] lines) =>
        string.Join("\r\n", [$"POST {target} HTTP/1.1", "Host: api.example", .. lines]) + "\r\n\r\n";

    /// <summary>.NET's client sends a request without content again when a connection that it reuses closes before an answer.</summary>
    [Theory]
    [InlineData("", true)]
    [InlineData("Content-Length: 2", false)]
    public async Task ARequestThatIsNotAnswered_ArrivesAgain_WithoutContent(string framing, bool isRepeated)
    {
        using var warmed = new CountdownEvent(Warm);
        var answer = new TaskCompletionSource();
        await using var backend = RawBackend.Start(async connection =>
        {
            while (await connection.ReadRequestAsync() is { Target: "/warm" })
            {
                if (!warmed.IsSet)
                {
                    warmed.Signal();
                }

                await answer.Task;
                await connection.SendResponseAsync(200, "ok");
            }
        });
        await using var yarp = await PlainYarp.StartAsync(backend.Url);
        var warming = Enumerable.Range(0, Warm).Select(_ => RawClient.ExchangeAsync(yarp.Url, Post("/warm", "Content-Length: 0"))).ToList();
        await Task.Run(() => warmed.Wait(Bounds.Wait));
        answer.SetResult();
        await Task.WhenAll(warming);

        var failed = await RawClient.ExchangeAsync(yarp.Url, framing.Length > 0 ? Post("/pay", framing) + "{}" : Post("/pay"));

        Assert.Equal(502, failed!.Status);
        Assert.Equal(isRepeated ? 4 : 1, backend.Requests.Count(request => request.Target == "/pay"));
    }

    /// <summary>Over HTTP/2 what the backend says it did not process is sent again; content that YARP streams is gone after the second time.</summary>
    [Theory]
    [InlineData("REFUSED_STREAM", "", 4)]
    [InlineData("REFUSED_STREAM", "Content-Length: 2", 2)]
    [InlineData("GOAWAY", "", 4)]
    [InlineData("GOAWAY", "Content-Length: 2", 2)]
    public async Task ARequestThatIsRefusedOverHttp2_ArrivesAgain(string how, string framing, int times)
    {
        var arrivals = new Ledger<RawHttp2Request>();
        await using var backend = RawBackend.Start(async connection =>
        {
            var http2 = await RawHttp2Connection.AcceptAsync(connection, arrivals);
            while (true)
            {
                var request = await http2.ReadRequestAsync();
                await (how == "GOAWAY" ? http2.GoAwayAsync(Math.Max(0, request.Stream - 2)) : http2.ResetStreamAsync(request, RawHttp2Connection.RefusedStream));
            }
        });
        await using var yarp = await PlainYarp.StartAsync(backend.Url, http2: true);

        var failed = await RawClient.ExchangeAsync(yarp.Url, framing.Length > 0 ? Post("/pay", framing) + "{}" : Post("/pay"));

        Assert.Equal(502, failed!.Status);
        Assert.Equal(times, arrivals.Count);
    }

    [Theory]
    [InlineData("POST /a%2Fb HTTP/1.1\r\n", "POST", "/a%252Fb")]
    [InlineData("post /a HTTP/1.1\r\n", "POST", "/a")]
    [InlineData("POST /a HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n", "GET", "/a")]
    public async Task WhatGoesOut_IsNotWhatCameIn(string start, string method, string target)
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var yarp = await PlainYarp.StartAsync(backend.Url);

        await RawClient.ExchangeAsync(yarp.Url, $"{start}Host: api.example\r\n\r\n");

        var arrival = Assert.Single(backend.Ledger);
        Assert.Equal((method, target), (arrival.Method, arrival.Target));
    }

    [Fact]
    public async Task FieldsThatConnectionNames_GoOut()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var yarp = await PlainYarp.StartAsync(backend.Url);

        await RawClient.ExchangeAsync(yarp.Url, Post("/a", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Content-Length: 0"));

        Assert.Equal("1", Assert.Single(backend.Ledger).Header("X-Hop"));
    }

    /// <summary>The backend has executed it, and the client reads that the gateway had no answer.</summary>
    [Fact]
    public async Task AnAnswerWithAByteAboveAscii_IsLost()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendAsync("HTTP/1.1 201 Created\r\nX-Name: caf\u00e9\r\nContent-Length: 2\r\n\r\nok");
        });
        await using var yarp = await PlainYarp.StartAsync(backend.Url);

        var answer = await RawClient.ExchangeAsync(yarp.Url, Post("/a", "Content-Length: 0"));

        Assert.Single(backend.Requests);
        Assert.Equal(502, answer!.Status);
    }

    /// <summary>Neither a length nor chunks: the end of the connection is the end of the body, whoever ended it.</summary>
    [Fact]
    public async Task AnAnswerThatEndsWithItsConnection_LooksWhole_WhenItIsCut()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendAsync("HTTP/1.1 200 OK\r\n\r\nhalf of it");
        });
        await using var yarp = await PlainYarp.StartAsync(backend.Url);

        var answer = await RawClient.ExchangeAsync(yarp.Url, Post("/a", "Content-Length: 0"));

        Assert.Equal((200, "half of it", true), (answer!.Status, answer.Text, answer.IsComplete));
        Assert.Equal(ForwarderError.None, (await yarp.Errors.WaitForCountAsync(1))[0]);
    }

    /// <summary>The answer can be recorded before the client gets its first byte.</summary>
    [Fact]
    public async Task WithAnotherBodyInItsPlace_TheResponseHasNotStartedAfterTheForward()
    {
        var captured = new MemoryStream();
        var hasStarted = new TaskCompletionSource<bool>();
        await using var backend = await ScriptedBackend.StartAsync();
        await using var yarp = await PlainYarp.StartAsync(backend.Url, around: async (context, forward) =>
        {
            var original = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
            context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(captured));
            await forward();
            context.Features.Set(original);
            hasStarted.SetResult(context.Response.HasStarted);
            await context.Response.Body.WriteAsync(captured.ToArray());
        });

        var answer = await RawClient.ExchangeAsync(yarp.Url, Post("/a", "Content-Length: 0"));

        Assert.False(await hasStarted.Task);
        Assert.Equal((201, captured.Length), (answer!.Status, answer.Body.Length));
    }

    /// <summary>YARP gives the forward up with the client, unless something else stands in RequestAborted.</summary>
    [Theory]
    [InlineData(false, ForwarderError.RequestCanceled)]
    [InlineData(true, ForwarderError.None)]
    public async Task AClientThatHangsUp_TakesItsForwardAlong(bool isDetached, ForwarderError expected)
    {
        var arrived = new TaskCompletionSource();
        var answer = new TaskCompletionSource();
        await using var backend = await ScriptedBackend.StartAsync(async context =>
        {
            arrived.SetResult();
            await answer.Task;
        });
        await using var yarp = await PlainYarp.StartAsync(backend.Url, around: (context, forward) =>
        {
            if (isDetached)
            {
                context.RequestAborted = CancellationToken.None;
                context.Features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(new MemoryStream()));
            }

            return forward();
        });
        await using var client = await RawClient.ConnectAsync(yarp.Url);
        await client.SendAsync(Post("/a", "Content-Length: 0"));
        await arrived.Task;

        client.Abort();
        if (isDetached)
        {
            answer.SetResult();
        }

        Assert.Equal(expected, (await yarp.Errors.WaitForCountAsync(1))[0]);
        answer.TrySetResult();
    }

    /// <summary>Without the switch that Program.cs sets before anything else; Kestrel looks at it once in a process.</summary>
    [Fact]
    public async Task ALineThatEndsWithABareLineFeed_IsTaken()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var yarp = await PlainYarp.StartAsync(backend.Url);

        var answer = await RawClient.ExchangeAsync(yarp.Url, "POST /a HTTP/1.1\nHost: api.example\nContent-Length: 0\n\n");

        Assert.Equal(201, answer!.Status);
        Assert.Single(backend.Ledger);
    }
}
