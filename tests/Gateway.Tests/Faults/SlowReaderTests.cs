using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A client stops reading in the middle of its answer. The server's minimum data rate would end its connection, but not within a test:
/// at 240 bytes/s it is patient for more than an hour per megabyte.
/// </summary>
public sealed class SlowReaderTests
{
    /// <summary>More than the buffers between a server and a client that does not read.</summary>
    private const int AnswerBytes = 32 * 1024 * 1024;

    [Fact]
    public async Task AClientThatStopsReading_ChangesNothingForItsRetry_NorForTheEndOfTheProcess()
    {
        await using var backend = await ScriptedBackend.StartAsync(context => context.Response.WriteAsync(new string('x', AnswerBytes)));
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded, new { large = new { Response = new { MaxBodyBytes = AnswerBytes } } }, new GatewayRoute("/{**rest}", backend.Url, "large")),
            new Dictionary<string, string> { ["ShutdownGrace"] = "00:00:02", ["Limits__BufferedBytes"] = "536870912", ["Store__Timeout"] = "00:00:10" });
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        await using var reader = await RawClient.ConnectAsync(gateway.Url);
        string[] head = ["POST /orders HTTP/1.1", $"Host: {new Uri(gateway.Url).Authority}", "Content-Type: application/json", $"Idempotency-Key: {key}", "Content-Length: 2"];
        await reader.SendAsync(string.Join("\r\n", head) + "\r\n\r\n{}");
        await backend.WaitForArrivalsAsync(1);

        Answer? retry = null;
        await Eventually.TrueAsync(
            async () => (retry = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key)).ProblemType != "in-progress", "the answer is recorded");
        var exitCode = await gateway.TerminateAsync();
        var cut = await reader.ReadResponseAsync();

        Assert.Single(backend.Ledger);
        Assert.Equal((200, true, AnswerBytes), (retry!.Status, retry.IsReplay, retry.Body.Length));
        Assert.Equal((200, false), (cut!.Status, cut.IsComplete));
        Assert.Equal(0, exitCode);
    }

    /// <summary>The answer is on record: who reads it too slowly is cut, and the memory is there for others.</summary>
    [Fact]
    public async Task AClientThatReadsTooSlowly_IsCut_AndOthersAreServed()
    {
        const int Bytes = 8 * 1024 * 1024;
        await using var backend = await ScriptedBackend.StartAsync(context => context.Response.WriteAsync(new string('x', Bytes)));
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded, new { large = new { Response = new { MaxBodyBytes = Bytes } } }, new GatewayRoute("/{**rest}", backend.Url, "large")),
            new Dictionary<string, string> { ["Limits__SlowReader"] = "00:00:05", ["Limits__BufferedBytes"] = $"{8 * Bytes}", ["Idempotency__NearCopy__MaxEntries"] = "0" });
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        var first = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key);
        var readers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => RawClient.ConnectAsync(gateway.Url)));
        foreach (var reader in readers)
        {
            await reader.SendAsync($"POST /orders HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}");
        }

        Answer? retry = null;
        async Task<bool> IsServedAsync() => (retry = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key)).IsReplay;
        await Eventually.TrueAsync(async () => !await IsServedAsync(), "the readers have all the room");
        await Eventually.TrueAsync(IsServedAsync, "others are served");
        var answers = new List<Http1Message?>();
        foreach (var reader in readers)
        {
            answers.Add(await reader.ReadResponseAsync());
            await reader.DisposeAsync();
        }

        Assert.Single(backend.Ledger);
        Expect.Replay(first, retry!);
        Assert.Contains(answers, answer => answer is { Status: 200, IsComplete: false });
    }

    /// <summary>Whatever a reader does, the answer is on record when the backend is done, and the lock is free.</summary>
    /// <param name="policy">Which of the policies below.</param>
    /// <param name="bytesPerSecond">How fast the client reads; 0 when it does not.</param>
    /// <param name="retried">What its retry gets; null of a policy without keys.</param>
    [Theory]
    [InlineData("streamed", 0, "replay")]
    [InlineData("streamed", 5000, "replay")]
    [InlineData("streamed-seat", 0, "replay")]
    [InlineData("streamed-seat", 5000, "replay")]
    [InlineData("streamed-small", 0, "answer-not-kept")]
    [InlineData("streamed-small-seat", 5000, "answer-not-kept")]
    [InlineData("small", 0, "answer-not-kept")]
    [InlineData("small-seat", 0, "answer-not-kept")]
    [InlineData("small-seat", 5000, "answer-not-kept")]
    [InlineData("seat", 0, "replay")]
    [InlineData("alone", 0, null)]
    [InlineData("alone", 5000, null)]
    public async Task ASlowReader_HoldsUpNeitherItsRecordNorALock(string policy, int bytesPerSecond, string? retried)
    {
        await using var backend = await ScriptedBackend.StartAsync(SendAsync);
        var (seat, streamed) = (new { On = "route:seat" }, new { Delivery = "Streamed", MaxBodyBytes = AnswerBytes });
        var (small, streamedSmall) = (new { MaxBodyBytes = 100_000 }, new { Delivery = "Streamed", MaxBodyBytes = 100_000 });
        string[] names = ["streamed", "streamed-seat", "streamed-small", "streamed-small-seat", "small", "small-seat", "seat", "alone"];
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded,
                new Dictionary<string, object>
                {
                    ["streamed"] = new { Response = streamed },
                    ["streamed-seat"] = new { Response = streamed, Lock = seat },
                    ["streamed-small"] = new { Response = streamedSmall },
                    ["streamed-small-seat"] = new { Response = streamedSmall, Lock = seat },
                    ["small"] = new { Response = small },
                    ["small-seat"] = new { Response = small, Lock = seat },
                    ["seat"] = new { Response = new { MaxBodyBytes = AnswerBytes }, Lock = seat },
                    ["alone"] = new { Key = Array.Empty<string>(), Lock = seat },
                },
                [.. names.Select(name => new GatewayRoute($"/{name}/{{seat}}", backend.Url, name))]),
            new Dictionary<string, string> { ["Limits__BufferedBytes"] = "536870912", ["Store__Timeout"] = "00:00:10" });
        using var client = KeyedRequests.NewClient();
        var (key, path) = (EmbeddedGateway.NewKey(), $"/{policy}/1");
        await using var reader = await RawClient.ConnectAsync(gateway.Url);
        await reader.SendAsync($"POST {path} HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}");
        using var end = new CancellationTokenSource();
        var reading = ReadSlowlyAsync(reader, bytesPerSecond, end.Token);
        await backend.WaitForArrivalsAsync(1);
        var began = TimeProvider.System.GetTimestamp();

        Answer? retry = null;
        if (retried is not null)
        {
            await Eventually.TrueAsync(
                async () => (retry = await KeyedRequests.PostAsync(client, gateway.Url + path, key)).ProblemType is not "in-progress", "the answer is recorded");
        }

        Answer? other = null;
        if (policy.EndsWith("seat", StringComparison.Ordinal) || policy == "alone")
        {
            await Eventually.TrueAsync(
                async () => (other = await KeyedRequests.PostAsync(client, gateway.Url + path, EmbeddedGateway.NewKey())).ProblemType is not "resource-locked", "the lock is free");
        }

        var took = TimeProvider.System.GetElapsedTime(began);
        await end.CancelAsync();
        await reading;

        Assert.InRange(took, TimeSpan.Zero, TimeSpan.FromSeconds(20)); // a few seconds, and what a shared machine takes for the bytes
        Assert.Equal(retried, retry is null ? null : retry.IsReplay ? "replay" : retry.ProblemType);
        Assert.True(retry is not { IsReplay: true } || retry.Body.Length == AnswerBytes, "the retry has the whole answer");
        Assert.Equal(other is null ? 1 : 2, backend.Ledger.Count);
        Assert.True(other is null || other.Body.Length == AnswerBytes, "the next one has its answer");
    }

    /// <summary>A client that reads, however fast, gets every byte, of whatever size the answer is.</summary>
    [Theory]
    [InlineData("1.1")]
    [InlineData("2.0")]
    public async Task AReaderThatIsSlowerThanTheBackend_GetsTheWholeAnswer(string version)
    {
        await using var backend = await ScriptedBackend.StartAsync(SendAsync);
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded,
                new { streamed = new { Response = new { Delivery = "Streamed", MaxBodyBytes = AnswerBytes }, Lock = new { On = "route:seat" } } },
                new GatewayRoute("/streamed/{seat}", backend.Url, "streamed")),
            new Dictionary<string, string> { ["Limits__BufferedBytes"] = "536870912", ["Store__Timeout"] = "00:00:10", ["Kestrel__EndpointDefaults__Protocols"] = version == "2.0" ? "Http2" : "Http1" });
        using var client = KeyedRequests.NewClient();
        using var request = new HttpRequestMessage(HttpMethod.Post, gateway.Url + "/streamed/1")
        {
            Version = Version.Parse(version),
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Content = new StringContent("{}"),
        };
        request.Headers.Add("Idempotency-Key", EmbeddedGateway.NewKey());

        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        await using var body = await response.Content.ReadAsStreamAsync();
        var (buffer, read, expected) = (new byte[256 * 1024], 0, true);
        for (int count; (count = await body.ReadAsync(buffer)) > 0; read += count)
        {
            for (var i = 0; i < count; i += 997)
            {
                expected &= buffer[i] == ByteAt(read + i);
            }

            await Task.Delay(20);
        }

        Assert.Equal((AnswerBytes, true), (read, expected));
    }

    /// <summary>Where nobody waits, the client's pace is the backend's: neither what observes, nor what is too large to keep, is cut for being read slowly.</summary>
    [Theory]
    [InlineData("observed")]
    [InlineData("large")]
    public async Task ASlowReader_ThatHoldsNobodyUp_GetsTheWholeAnswer(string policy)
    {
        const int Bytes = 12 * 1024 * 1024;
        await using var backend = await ScriptedBackend.StartAsync(context => SendAsync(context, Bytes));
        await using var gateway = await GatewayProcess.StartAsync(
            GatewayConfig.Write(
                GatewayConfig.Embedded,
                new Dictionary<string, object>
                {
                    ["observed"] = new { Mode = "Observe", Response = new { MaxBodyBytes = 2 * Bytes } },
                    ["large"] = new { Response = new { Delivery = "Streamed", MaxBodyBytes = Bytes / 2 } },
                },
                new GatewayRoute("/observed/{**rest}", backend.Url, "observed", ActivityTimeout: TimeSpan.FromSeconds(4)),
                new GatewayRoute("/large/{**rest}", backend.Url, "large", ActivityTimeout: TimeSpan.FromSeconds(4))),
            new Dictionary<string, string> { ["Limits__SlowReader"] = "00:00:02", ["Limits__BufferedBytes"] = "536870912" });
        await using var reader = await RawClient.ConnectAsync(gateway.Url);
        await reader.SendAsync($"POST /{policy}/1 HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nContent-Type: application/json\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\nContent-Length: 2\r\n\r\n{{}}");

        // A second and a half between megabytes: the whole takes longer than any of the patience above.
        long skipped = 0;
        for (var i = 0; i < 6; i++)
        {
            await Task.Delay(TimeSpan.FromSeconds(1.5));
            skipped += await reader.SkipWholeAsync(1024 * 1024);
        }

        while (await reader.SkipAsync(1024 * 1024) is > 0 and var more)
        {
            skipped += more;
            if (skipped > Bytes)
            {
                break; // a head, and the whole
            }
        }

        Assert.InRange(skipped, Bytes + 1, Bytes + 2000);
    }

    /// <summary>Who hangs up before an answer that has no end has begun does not leave its lock to it.</summary>
    [Fact]
    public async Task AClientThatHangsUp_BeforeAnAnswerWithoutEnd_DoesNotLeaveItsLockToIt()
    {
        using var held = new SyncPoint();
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var backend = await ScriptedBackend.StartAsync(async context =>
        {
            await held.Released;
            try
            {
                while (true)
                {
                    await context.Response.Body.WriteAsync(new byte[1000], context.RequestAborted);
                    await Task.Delay(20, context.RequestAborted);
                }
            }
            finally
            {
                ended.TrySetResult();
            }
        });
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { alone = new { Key = Array.Empty<string>(), Lock = new { On = "route:seat" } } }, new GatewayRoute("/alone/{seat}", backend.Url, "alone")));
        await using (var client = await RawClient.ConnectAsync(gateway.Url))
        {
            await client.SendAsync($"POST /alone/1 HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nContent-Length: 2\r\n\r\n{{}}");
            await backend.WaitForArrivalsAsync(1);
            client.Abort();
        }

        await Task.Delay(TimeSpan.FromMilliseconds(300)); // the server has noticed
        held.Release();

        await ended.Task.WaitAsync(Bounds.Wait);
    }

    private static byte ByteAt(int position) => (byte)((position / 1000) % 251);

    private static Task SendAsync(HttpContext context) => SendAsync(context, AnswerBytes);

    private static async Task SendAsync(HttpContext context, int bytes)
    {
        context.Response.ContentLength = bytes;
        var piece = new byte[64 * 1024];
        for (var sent = 0; sent < bytes; sent += piece.Length)
        {
            for (var i = 0; i < piece.Length; i++)
            {
                piece[i] = ByteAt(sent + i);
            }

            await context.Response.Body.WriteAsync(piece, context.RequestAborted);
        }
    }

    private static async Task ReadSlowlyAsync(RawClient reader, int bytesPerSecond, CancellationToken end)
    {
        try
        {
            while (bytesPerSecond > 0)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), end);
                await reader.SkipAsync(bytesPerSecond / 5);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or System.Net.Sockets.SocketException)
        {
            // The end of the test, or of the connection.
        }
    }
}
