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
            new Dictionary<string, string> { ["Limits__SlowReader"] = "00:00:02", ["Limits__BufferedBytes"] = $"{8 * Bytes}", ["Idempotency__NearCopy__MaxEntries"] = "0" });
        using var client = KeyedRequests.NewClient();
        var key = EmbeddedGateway.NewKey();
        var first = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key);
        var readers = await Task.WhenAll(Enumerable.Range(0, 6).Select(_ => RawClient.ConnectAsync(gateway.Url)));
        foreach (var reader in readers)
        {
            await reader.SendAsync($"POST /orders HTTP/1.1\r\nHost: {new Uri(gateway.Url).Authority}\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n\r\n{{}}");
        }

        Answer? retry = null;
        await Eventually.TrueAsync(async () => (retry = await KeyedRequests.PostAsync(client, gateway.Url + "/orders", key)).IsReplay, "others are served");
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
}
