using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What becomes of a key by what the backend answers.</summary>
public sealed class OutcomeTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [InlineData(200)]
    [InlineData(302)]
    [InlineData(400)]
    [InlineData(404)]
    [InlineData(500)]
    public async Task AnAnswer_IsRecorded_AndReplayed(int status)
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.Location = "/elsewhere";
            return context.Response.WriteAsync(Guid.NewGuid().ToString());
        });

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Empty(gateway.ArrivalsAt("/elsewhere"));
        Assert.Equal((status, "/elsewhere", null), (first.Status, first.Header("Location"), first.Header("Idempotency-Status")));
        Expect.Replay(first, retry);
    }

    [Fact]
    public async Task AnEmptyAnswer_IsRecorded_AndReplayed()
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            context.Response.Headers.ETag = $"\"{Guid.NewGuid()}\"";
            return Task.CompletedTask;
        });

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((204, 0), (first.Status, first.Body.Length));
        Expect.Replay(first, retry);
    }

    [Theory]
    [InlineData(401)]
    [InlineData(403)]
    [InlineData(408)]
    [InlineData(425)]
    [InlineData(429)]
    [InlineData(503)]
    public async Task AStatusThatSaysNotServed_IsPassedOn_AndFreesTheKey(int status)
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.StatusCode = status;
            context.Response.Headers.RetryAfter = "7";
            return context.Response.WriteAsync("later");
        });

        var refused = await gateway.PostAsync(_path, _key);
        gateway.AnswerAt(_path, gateway.Backend.AnswerCreatedAsync);
        var retry = await gateway.PostAsync(_path, _key);
        var replay = await gateway.PostAsync(_path, _key);

        Assert.Equal(2, gateway.ArrivalsAt(_path).Count);
        Assert.Equal((status, "later", "7"), (refused.Status, refused.Text, refused.Header("Retry-After")));
        Assert.Equal("released", refused.Header("Idempotency-Status"));
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
        Expect.Replay(retry, replay);
    }

    [Theory]
    [InlineData(502)]
    [InlineData(504)]
    public async Task AStatusThatLeavesItOpen_IsPassedOn_AndMakesTheKeyUncertain(int status)
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.StatusCode = status;
            return context.Response.WriteAsync("upstream failed");
        });

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((status, "upstream failed", "outcome-uncertain"), (first.Status, first.Text, first.Header("Idempotency-Status")));
        Expect.Uncertain(retry);
    }

    [Fact]
    public async Task ABackendThatIsSilentForTooLong_LeavesTheKeyUncertain()
    {
        var path = EmbeddedGateway.NewPath("/impatient");
        using var held = gateway.Backend.Hold();

        var first = await gateway.PostAsync(path, _key);
        held.Release();
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Expect.Problem(504, "outcome-uncertain", first);
        Expect.Uncertain(retry);
    }

    [Theory]
    [InlineData("no-store")]
    [InlineData("private, no-store, max-age=0")]
    public async Task AnAnswerThatMustNotBeStored_IsGivenOnce(string cacheControl)
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.Headers.CacheControl = cacheControl;
            return gateway.Backend.AnswerCreatedAsync(context);
        });

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal((201, "answer-not-kept"), (first.Status, first.Header("Idempotency-Status")));
        Assert.StartsWith("{\"execution\":", first.Text, StringComparison.Ordinal);
        Expect.NotKept(TombstoneReason.NoStore, 201, first.Header("Location"), retry);
    }

    [Fact]
    public async Task AnAnswerOfTheLargestSize_IsKept()
    {
        var path = EmbeddedGateway.NewPath("/small");
        gateway.AnswerAt(path, context => context.Response.WriteAsync(new string('x', EmbeddedGateway.SmallLimit)));

        var first = await gateway.PostAsync(path, _key);

        Expect.Replay(first, await gateway.PostAsync(path, _key));
        Assert.Single(gateway.ArrivalsAt(path));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AnAnswerThatIsTooLarge_IsGivenWhole_AndNotKept(bool lengthIsKnown)
    {
        var path = EmbeddedGateway.NewPath("/small");
        var body = new string('x', EmbeddedGateway.SmallLimit) + new string('y', 100_000);
        gateway.AnswerAt(path, async context =>
        {
            context.Response.StatusCode = StatusCodes.Status201Created;
            context.Response.Headers.Location = "/made/1";
            context.Response.ContentLength = lengthIsKnown ? body.Length : null;
            await context.Response.WriteAsync(body[..10]);
            await context.Response.Body.FlushAsync();
            await context.Response.WriteAsync(body[10..]);
        });

        var first = await gateway.PostAsync(path, _key);
        var retry = await gateway.PostAsync(path, _key);

        Assert.Single(gateway.ArrivalsAt(path));
        Assert.Equal((201, "answer-not-kept"), (first.Status, first.Header("Idempotency-Status")));
        Assert.Equal(body, first.Text);
        Expect.NotKept(TombstoneReason.TooLarge, 201, "/made/1", retry);
    }

    [Fact]
    public async Task AnEventStream_ArrivesWhileTheBackendIsStillSendingIt()
    {
        using var open = new SyncPoint();
        gateway.AnswerAt(_path, async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await context.Response.Body.FlushAsync();
            await open.Released;
            await context.Response.WriteAsync("data: 2\n\n");
        });
        using var request = new HttpRequestMessage(HttpMethod.Post, gateway.Url + _path)
        {
            Content = new ByteArrayContent("{}"u8.ToArray()) { Headers = { ContentType = new("application/json") } },
        };
        request.Headers.Add("Idempotency-Key", _key);

        using var response = await gateway.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        using var events = new StreamReader(await response.Content.ReadAsStreamAsync());
        var firstEvent = await events.ReadLineAsync();
        var retry = await gateway.PostAsync(_path, _key);
        Assert.False(open.IsReleased);
        open.Release();

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal("data: 1", firstEvent);
        Assert.Equal("\ndata: 2\n\n", await events.ReadToEndAsync());
        Expect.NotKept(TombstoneReason.Stream, 200, null, retry);
    }

    [Fact]
    public async Task CookiesAndChallenges_AreGivenToTheFirst_AndNeverReplayed()
    {
        gateway.AnswerAt(_path, context =>
        {
            context.Response.Headers.Append("Set-Cookie", "a=1");
            context.Response.Headers.Append("Set-Cookie", "b=2");
            context.Response.Headers.WWWAuthenticate = "Basic";
            return context.Response.WriteAsync("welcome");
        });

        var first = await gateway.PostAsync(_path, _key);
        var retry = await gateway.PostAsync(_path, _key);

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Equal(["a=1", "b=2"], first.HeaderValues("Set-Cookie"));
        Assert.Equal("Basic", first.Header("WWW-Authenticate"));
        Assert.Equal((true, "welcome"), (retry.IsReplay, retry.Text));
        Assert.Empty(retry.HeaderValues("Set-Cookie"));
        Assert.Empty(retry.HeaderValues("WWW-Authenticate"));
    }
}
