using System.Text;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Bodies that drip, and bodies that are too many: what one client holds must not be taken from all others.</summary>
public sealed class BodyLimitTests
{
    private const int MegaByte = 1024 * 1024;

    /// <summary>The smallest budget for answers of up to 1 MiB: 3 MiB for requests.</summary>
    private const int Budget = 4 * MegaByte;

    /// <summary>Room is taken in pieces that double; this is the first.</summary>
    private const int BodySize = 4 * 1024;

    private static readonly string AllButOne = new('x', BodySize - 1);

    private const int Room = MegaByte / 4 * 3 / BodySize;

    [Theory]
    [InlineData("Content-Length: 5000", "a part")]
    [InlineData("Content-Length: 100000", "a part")]
    [InlineData("Transfer-Encoding: chunked", "6\r\na part\r\n")]
    public async Task ABodyThatDrips_IsRefusedInTheEnd_AndClaimsNothing(string framing, string part)
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await StartAsync(backend, ("Limits__RequestBodyTimeout", "00:00:01"));
        await using var client = await RawClient.ConnectAsync(gateway.Url);
        var key = EmbeddedGateway.NewKey();

        await client.SendAsync($"POST /orders HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {key}\r\n{framing}\r\n\r\n{part}");
        var answer = await client.ReadResponseAsync();

        Assert.Empty(backend.Ledger);
        Assert.Equal((408, "close"), (answer!.Status, answer.Header("Connection")));
        Assert.Contains("request-timeout", answer.Text, StringComparison.Ordinal);

        using var http = KeyedRequests.NewClient();
        var retry = await KeyedRequests.PostAsync(http, gateway.Url + "/orders", key);
        Assert.Single(backend.Ledger);
        Assert.Equal(201, retry.Status);
    }

    [Fact]
    public async Task MoreBodiesThanThereIsRoomFor_AreRefused_AndOthersAreServed()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var gateway = await StartAsync(backend, ("Limits__BufferedBytes", $"{MegaByte}"));
        var clients = await Task.WhenAll(Enumerable.Range(0, Room + 12).Select(_ => RawClient.ConnectAsync(gateway.Url)));
        foreach (var client in clients)
        {
            await client.SendAsync($"POST /orders HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: {EmbeddedGateway.NewKey()}\r\nContent-Length: {BodySize}\r\n\r\n{AllButOne}");
        }

        var answers = clients.Select(client => client.ReadResponseAsync()).ToList();
        await Eventually.TrueAsync(() => answers.Count(answer => answer.IsCompleted) == clients.Length - Room, "those for whom there is no room were refused");
        using var http = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        var refused = await KeyedRequests.PostAsync(http, gateway.Url + "/orders", key);
        Assert.Empty(backend.Ledger);
        Expect.Problem(503, "request-not-buffered", refused);
        Assert.Equal("2", refused.Header("Retry-After"));

        var unkeyed = await KeyedRequests.PostAsync(http, gateway.Url + "/plain", key: null, new string('x', BodySize));
        Assert.Single(backend.Ledger);
        Assert.Equal(201, unkeyed.Status);

        // Those that were let in are served to the end, and make room.
        await Task.WhenAll(clients.Where((_, number) => !answers[number].IsCompleted).Select(client => client.SendAsync("x")));
        var statuses = (await Task.WhenAll(answers)).CountBy(answer => answer!.Status).ToDictionary();
        Assert.Equal(1 + Room, backend.Ledger.Count);
        Assert.Equal(new Dictionary<int, int> { [201] = Room, [503] = clients.Length - Room }, statuses);
        Assert.Equal(201, (await KeyedRequests.PostAsync(http, gateway.Url + "/orders", key)).Status);
        await Task.WhenAll(clients.Select(client => client.DisposeAsync().AsTask()));
    }

    [Fact]
    public async Task AnAnswerThatFindsNoRoom_IsPassedOn_AndTheRetryIsToldSo()
    {
        const int Requests = 8;
        var body = new string('x', MegaByte);
        var sent = 0;
        using var held = new SyncPoint();
        await using var backend = await ScriptedBackend.StartAsync(async context =>
        {
            // All but the last byte, so that every answer is held at the same time.
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(Encoding.ASCII.GetBytes(body[1..]));
            await context.Response.Body.FlushAsync();
            Interlocked.Increment(ref sent);
            await held.Released;
            await context.Response.WriteAsync("x");
        });
        await using var gateway = await StartAsync(backend, ("Limits__BufferedBytes", $"{Budget}"));
        using var http = KeyedRequests.NewClient();
        var keys = Enumerable.Range(0, Requests).Select(_ => EmbeddedGateway.NewKey()).ToList();

        var sending = keys.Select(key => KeyedRequests.PostAsync(http, gateway.Url + "/orders", key)).ToList();
        await Eventually.TrueAsync(() => Volatile.Read(ref sent) == Requests, "all answers are under way");
        held.Release();
        var answers = await Task.WhenAll(sending);
        var retries = await Task.WhenAll(keys.Select(key => KeyedRequests.PostAsync(http, gateway.Url + "/orders", key)));

        Assert.Equal(Requests, backend.Ledger.Count);
        Assert.All(answers, answer => Assert.Equal((200, body), (answer.Status, answer.Text)));
        var notKept = answers.Count(answer => answer.Header("Idempotency-Status") == "answer-not-kept");
        Assert.InRange(notKept, 1, Requests - 1);
        Assert.Equal(notKept, retries.Count(retry => retry.Status == 409 && retry.Text.Contains("NoRoom", StringComparison.Ordinal)));
    }

    private static Task<GatewayProcess> StartAsync(ScriptedBackend backend, (string Name, string Value) limit) => GatewayProcess.StartAsync(
        GatewayConfig.Write(
            GatewayConfig.Embedded,
            new { },
            new GatewayRoute("/{**rest}", backend.Url),
            new GatewayRoute("/plain", backend.Url, Policy: null)),
        new Dictionary<string, string> { [limit.Name] = limit.Value });
}
