using System.Text;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Answers that reach the client as they come, and are recorded at their end (<c>Response:Delivery: Streamed</c>).</summary>
public abstract class StreamedTests(PolicyGateways gateways)
{
    private const string First = "data: 1\n\n";
    private const string Second = "data: 2\n\n";

    private readonly string _path = PolicyGateways.NewPath("streamed");
    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task BytesArriveWhileTheBackendIsStillWriting_AndTheReplayHasThemAll()
    {
        using var more = new SyncPoint();
        StreamAt(First, Second, more);
        using var client = await OpenAsync();
        Assert.Equal(First, await client.ReadAsync(First.Length));

        Expect.InProgress(await gateways.PostAsync(gateways.First, _path, _key));
        Expect.InProgress(await gateways.PostAsync(gateways.Other, _path, _key));
        more.Release();
        Assert.Equal(Second, await client.ReadToEndAsync());
        var replay = await gateways.PostUntilAnsweredAsync(gateways.Other, _path, _key);

        Assert.Single(gateways.ArrivalsAt(_path));
        Assert.Equal((200, First + Second, true), (replay.Status, replay.Text, replay.IsReplay));
        Assert.Equal("text/event-stream", replay.Header("Content-Type"));
    }

    [StoreFact]
    public async Task WhenTheClientLeavesInTheMiddle_TheWholeIsRecorded()
    {
        using var more = new SyncPoint();
        StreamAt(First, Second, more);
        using (var client = await OpenAsync())
        {
            Assert.Equal(First, await client.ReadAsync(First.Length));
        }

        Expect.InProgress(await gateways.PostAsync(gateways.Other, _path, _key));
        more.Release();
        var replay = await gateways.PostUntilAnsweredAsync(gateways.Other, _path, _key);

        Assert.Single(gateways.ArrivalsAt(_path));
        Assert.Equal((200, First + Second, true), (replay.Status, replay.Text, replay.IsReplay));
    }

    [StoreFact]
    public async Task ALargerAnswerThanIsKept_IsGivenWhole_Once()
    {
        using var more = new SyncPoint();
        var large = new string('x', PolicyGateways.SmallLimit);
        StreamAt(First, large, more);
        using var client = await OpenAsync();
        Assert.Equal(First, await client.ReadAsync(First.Length));
        more.Release();
        Assert.Equal(large, await client.ReadToEndAsync());

        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await gateways.PostAsync(gateways.Other, _path, _key)).ProblemType != "in-progress", "settled");

        Assert.Single(gateways.ArrivalsAt(_path));
        Expect.NotKept(TombstoneReason.TooLarge, 200, null, retry!);
    }

    [StoreFact]
    public async Task AnEndlessAnswerThatIsNotKept_IsLetGo_WhenItsClientLeaves()
    {
        var ended = new TaskCompletionSource();
        gateways.AnswerAt(_path, async context =>
        {
            using var gone = context.RequestAborted.Register(() => ended.TrySetResult());
            while (!context.RequestAborted.IsCancellationRequested)
            {
                await context.Response.WriteAsync(new string('x', 600));
                await context.Response.Body.FlushAsync();
                await Task.Delay(20);
            }
        });
        using (var client = await OpenAsync())
        {
            await client.ReadAsync(2 * PolicyGateways.SmallLimit);
        }

        await ended.Task.WaitAsync(TimeSpan.FromSeconds(20));
        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await gateways.PostAsync(gateways.Other, _path, _key)).ProblemType != "in-progress", "settled");

        Assert.Single(gateways.ArrivalsAt(_path));
        Expect.NotKept(TombstoneReason.TooLarge, 200, null, retry!);
    }

    [StoreFact]
    public async Task ACutAnswer_IsCutForTheClient_AndUncertainForTheRetry()
    {
        using var more = new SyncPoint();
        StreamAt(First, null, more);
        using var client = await OpenAsync();
        Assert.Equal(First, await client.ReadAsync(First.Length));
        more.Release();

        await Assert.ThrowsAnyAsync<Exception>(client.ReadToEndAsync);
        await Eventually.TrueAsync(async () => (await gateways.PostAsync(gateways.Other, _path, _key)).ProblemType == "outcome-uncertain", "the cut is noticed");
        Expect.Uncertain(await gateways.PostAsync(gateways.First, _path, _key));
        Assert.Single(gateways.ArrivalsAt(_path));
    }

    [StoreFact]
    public async Task AnAnswerWithoutBody_OrOneThatWasNotServed_IsAsWithBufferedDelivery()
    {
        gateways.AnswerAt(_path, context =>
        {
            context.Response.StatusCode = gateways.ArrivalsAt(_path).Count == 1 ? StatusCodes.Status503ServiceUnavailable : StatusCodes.Status204NoContent;
            return Task.CompletedTask;
        });

        Assert.Equal(503, (await gateways.PostAsync(gateways.First, _path, _key)).Status);
        var first = await gateways.PostUntilAnsweredAsync(gateways.First, _path, _key);
        var retry = await gateways.PostAsync(gateways.Other, _path, _key);

        Assert.Equal(2, gateways.ArrivalsAt(_path).Count);
        Assert.Equal(204, first.Status);
        Expect.Replay(first, retry);
    }

    [StoreFact]
    public async Task ABackendThatRefusesConnections_IsReportedAsUsual()
    {
        var path = PolicyGateways.NewPath("streamed-down");

        Expect.Problem(502, "backend-unreachable", await gateways.PostAsync(gateways.First, path, _key));
        Expect.Problem(502, "backend-unreachable", await gateways.PostAsync(gateways.Other, path, _key));
    }

    /// <param name="first">Sent at once.</param>
    /// <param name="then">Sent when <paramref name="more"/> is released; null cuts the connection then.</param>
    private void StreamAt(string first, string? then, SyncPoint more) => gateways.AnswerAt(_path, async context =>
    {
        context.Response.ContentType = "text/event-stream";
        await context.Response.WriteAsync(first);
        await context.Response.Body.FlushAsync();
        await more.Released;
        if (then is null)
        {
            context.Abort();
            return;
        }

        await context.Response.WriteAsync(then);
    });

    /// <summary>Sends the request at the first gateway, and returns as soon as the answer's header section is here.</summary>
    private async Task<StreamingClient> OpenAsync()
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, gateways.First.Url + _path)
        {
            Content = new StringContent("{}", Encoding.UTF8, new System.Net.Http.Headers.MediaTypeHeaderValue("application/json")),
        };
        request.Headers.Host = "api.example";
        request.Headers.Add("Idempotency-Key", _key);
        var response = await gateways.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        return new StreamingClient(response, await response.Content.ReadAsStreamAsync());
    }

    private sealed class StreamingClient(HttpResponseMessage response, Stream body) : IDisposable
    {
        public async Task<string> ReadAsync(int count)
        {
            var bytes = new byte[count];
            using var deadline = new CancellationTokenSource(Bounds.Wait);
            await body.ReadExactlyAsync(bytes, deadline.Token);
            return Encoding.UTF8.GetString(bytes);
        }

        public async Task<string> ReadToEndAsync()
        {
            using var reader = new StreamReader(body);
            using var deadline = new CancellationTokenSource(Bounds.Wait);
            return await reader.ReadToEndAsync(deadline.Token);
        }

        /// <summary>In the middle of an answer: the connection is closed.</summary>
        public void Dispose() => response.Dispose();
    }
}

public sealed class EmbeddedStreamedTests(EmbeddedPolicyGateways gateways) : StreamedTests(gateways), IClassFixture<EmbeddedPolicyGateways>;

[OnRedis]
public sealed class RedisStreamedTests(RedisPolicyGateways gateways) : StreamedTests(gateways), IClassFixture<RedisPolicyGateways>;

[OnPostgres]
public sealed class PostgresStreamedTests(PostgresPolicyGateways gateways) : StreamedTests(gateways), IClassFixture<PostgresPolicyGateways>;
