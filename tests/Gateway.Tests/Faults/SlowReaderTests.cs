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
            new Dictionary<string, string> { ["ShutdownGrace"] = "00:00:02", ["Limits__BufferedBytes"] = "536870912" });
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
}
