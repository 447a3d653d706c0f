using System.Net;
using Gateway.Forwarding;
using Gateway.Tests.Support;
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

    private static async Task<HttpResponseMessage> SendAsync(string url, Version version, ForwardTrace forward)
    {
        using var client = new BackendClientFactory().CreateClient(new ForwarderHttpClientContext { NewConfig = HttpClientConfig.Empty });
        using var request = new HttpRequestMessage(HttpMethod.Post, url)
        {
            Content = new StringContent("{}"),
            Version = version,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        request.Options.Set(ForwardTrace.Key, forward);
        return await client.SendAsync(request, CancellationToken.None);
    }

    /// <summary>The first look comes too late, those after it only if always.</summary>
    private sealed class Looks(bool confirmed) : ForwardTrace
    {
        public int Count { get; private set; }

        public int Confirmed { get; private set; }

        public bool IsAlwaysLate { get; init; }

        public override bool MayBegin => ++Count > 1 && !IsAlwaysLate;

        public override Task<bool> TryConfirmAsync()
        {
            Confirmed++;
            return Task.FromResult(confirmed);
        }
    }
}
