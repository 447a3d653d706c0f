using System.Net;
using System.Net.Sockets;
using System.Text;
using Gateway.Tests.Support;
using Idempotency.Yarp.Forwarding;
using Xunit;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Forwarding;

/// <summary>The last look, in the handler that YARP forwards with: where it stands, and that nothing was written when it fails.</summary>
public sealed class SingleSendHandlerTests
{
    [Fact]
    public async Task OverHttp1_ALookThatFails_WritesNothing_AndTheRequestGoesOutOnAnotherConnection()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            while (await connection.ReadRequestAsync() is { } request)
            {
                Assert.True(request.IsComplete);
                await connection.SendResponseAsync(201, "done");
            }
        });
        var forward = new Looks(confirmed: true);

        using var response = await SendAsync(backend.Url, HttpVersion.Version11, forward);

        Assert.Equal(HttpStatusCode.Created, response.StatusCode);
        Assert.Equal((2, 1), (forward.Count, forward.Confirmed));
        Assert.Equal(2, backend.ConnectionsAccepted); // the first one was had, and closed without a byte: a part of a request would fail the script
        Assert.Equal("{}", Assert.Single(backend.Requests).Text);
    }

    [Fact]
    public async Task OverHttp2_ALookThatFails_BeginsNoStream()
    {
        var arrivals = new Ledger<RawHttp2Request>();
        await using var backend = RawBackend.Start(async connection =>
        {
            var http2 = await RawHttp2Connection.AcceptAsync(connection, arrivals);
            await http2.SendOkAsync(await http2.ReadRequestAsync());
            await connection.WaitForCloseAsync();
        });
        var forward = new Looks(confirmed: true);

        using var response = await SendAsync(backend.Url, HttpVersion.Version20, forward);

        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal((2, 1), (forward.Count, forward.Confirmed));
        Assert.Single(arrivals);
    }

    [Theory]
    [InlineData(false, 1, 1)] // the store does not agree
    [InlineData(true, 3, 2)] // it agrees, and by the time of the next look it is too old again
    public async Task WithoutALookThatSucceeds_NothingIsSent(bool confirmed, int looks, int confirmations)
    {
        await using var backend = RawBackend.Start(async connection => Assert.Null(await connection.ReadRequestAsync()));
        var forward = new Looks(confirmed) { IsAlwaysLate = true };

        await Assert.ThrowsAsync<NotSentException>(() => SendAsync(backend.Url, HttpVersion.Version11, forward));

        Assert.Equal((looks, confirmations), (forward.Count, forward.Confirmed));
        Assert.Empty(backend.Requests);
    }

    /// <summary>A transform may have made any of them of a POST.</summary>
    [Theory]
    [InlineData("GET", true)]
    [InlineData("GET", false)]
    [InlineData("HEAD", true)]
    [InlineData("OPTIONS", true)]
    public async Task ASafeMethodThatStandsOnALease_IsLookedAtAsWell(string method, bool hasFields)
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            if (await connection.ReadRequestAsync() is not null)
            {
                await connection.SendResponseAsync(204, "");
            }
        });
        var forward = new Looks(confirmed: true) { IsOnLease = true };

        using var response = await SendAsync(backend.Url, HttpVersion.Version11, forward, method, hasFields);

        Assert.Equal((2, 1), (forward.Count, forward.Confirmed));
        Assert.Equal(method, Assert.Single(backend.Requests).Method);
    }

    /// <summary>.NET's client sends it again when a connection that was used before closes.</summary>
    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 2)] // which harms nobody
    public async Task ASafeMethodThatStandsOnALease_ArrivesOnce(bool isLeased, int arrivals)
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            var isReused = false;
            while (await connection.ReadRequestAsync() is not null && !isReused)
            {
                await connection.SendResponseAsync(200, "ok");
                isReused = true;
            }
        });
        using var client = new BackendClientFactory(new ForwarderHttpClientFactory(), Encoding.Latin1, passesTraces: true).CreateClient(new ForwarderHttpClientContext { NewConfig = HttpClientConfig.Empty });
        using (await SendAsync(client, backend.Url, HttpVersion.Version11, new ForwardTrace(), "GET"))
        {
        }

        var sending = SendAsync(client, backend.Url, HttpVersion.Version11, new Looks(confirmed: true) { IsOnLease = isLeased, IsFirstInTime = true }, "GET");

        var failure = await Record.ExceptionAsync(() => sending);
        Assert.Equal(1 + arrivals, backend.Requests.Count);
        Assert.Equal(isLeased, failure is HttpRequestException);
    }

    /// <summary>The backend says that it did not process what it has got, and nobody accepts the next connection: its word is no proof.</summary>
    [Fact]
    public async Task OverHttp2_ARefusal_AndThenNobodyThere_MayHaveArrived()
    {
        var arrivals = new Ledger<RawHttp2Request>();
        await using var backend = RawBackend.Start(async connection =>
        {
            var http2 = await RawHttp2Connection.AcceptAsync(connection, arrivals);
            await http2.ReadRequestAsync();
            await http2.GoAwayAsync(lastStream: 0);
            await connection.WaitForCloseAsync();
        });
        using var client = new BackendClientFactory(new OneConnection(), Encoding.Latin1, passesTraces: true).CreateClient(new ForwarderHttpClientContext { NewConfig = HttpClientConfig.Empty });
        var (forward, unsent) = (new Looks(confirmed: true) { IsFirstInTime = true }, new Looks(confirmed: true) { IsFirstInTime = true });

        var refused = await Assert.ThrowsAsync<HttpRequestException>(() => SendAsync(client, backend.Url, HttpVersion.Version20, forward));
        var unreachable = await Assert.ThrowsAsync<HttpRequestException>(() => SendAsync(client, backend.Url, HttpVersion.Version20, unsent));

        Assert.Single(arrivals);
        Assert.Equal((HttpRequestError.ConnectionError, HttpRequestError.ConnectionError), (refused.HttpRequestError, unreachable.HttpRequestError));
        Assert.Equal((true, false), (forward.MayHaveArrived, unsent.MayHaveArrived));
    }

    private static async Task<HttpResponseMessage> SendAsync(string url, Version version, ForwardTrace forward, string method = "POST", bool hasFields = true)
    {
        using var client = new BackendClientFactory(new ForwarderHttpClientFactory(), Encoding.Latin1, passesTraces: true).CreateClient(new ForwarderHttpClientContext { NewConfig = HttpClientConfig.Empty });
        return await SendAsync(client, url, version, forward, method, hasFields);
    }

    private static async Task<HttpResponseMessage> SendAsync(
        HttpMessageInvoker client, string url, Version version, ForwardTrace forward, string method = "POST", bool hasFields = true)
    {
        using var request = new HttpRequestMessage(new HttpMethod(method), url)
        {
            Content = method == "POST" ? new StringContent("{}") : null,
            Version = version,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        if (hasFields)
        {
            request.Headers.Add("X-Any", "1");
        }

        request.Options.Set(ForwardTrace.Key, forward);
        return await client.SendAsync(request, CancellationToken.None);
    }

    /// <summary>The second connection is refused.</summary>
    private sealed class OneConnection : ForwarderHttpClientFactory
    {
        private int _connections;

        protected override void ConfigureHandler(ForwarderHttpClientContext context, SocketsHttpHandler handler) => handler.ConnectCallback = async (connection, cancellationToken) =>
        {
            if (Interlocked.Increment(ref _connections) > 1)
            {
                throw new SocketException((int)SocketError.ConnectionRefused);
            }

            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(connection.DnsEndPoint, cancellationToken);
            return new NetworkStream(socket, ownsSocket: true);
        };
    }

    /// <summary>The first look comes too late, those after it only if always.</summary>
    private sealed class Looks(bool confirmed) : ForwardTrace
    {
        public int Count { get; private set; }

        public int Confirmed { get; private set; }

        public bool IsAlwaysLate { get; init; }

        public bool IsFirstInTime { get; init; }

        public bool IsOnLease { get; init; }

        public override bool IsLeased => IsOnLease;

        public override bool MayBegin => (++Count > 1 || IsFirstInTime) && !IsAlwaysLate;

        public override Task<bool> TryConfirmAsync()
        {
            Confirmed++;
            return Task.FromResult(confirmed);
        }
    }
}
