using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A client that hangs up changes nothing: the backend works on, and a retry gets the answer.</summary>
public sealed class ClientDisconnectTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    /// <summary>How long the backend is watched for a cancellation that must not come.</summary>
    private static readonly TimeSpan Watch = TimeSpan.FromMilliseconds(300);

    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    [Fact]
    public async Task AClientThatHangsUp_DoesNotCancelTheBackend_AndItsRetryGetsTheAnswer()
    {
        using var working = new SyncPoint();
        var canceled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        gateway.AnswerAt(_path, async context =>
        {
            await using var canceling = context.RequestAborted.Register(canceled.SetResult);
            await working.Released;
            await gateway.Backend.AnswerCreatedAsync(context);
        });
        await using var client = await RawClient.ConnectAsync(gateway.Url);
        await client.SendAsync(gateway.RawRequest("POST", _path, "{}", $"Idempotency-Key: {_key}"));
        await gateway.Backend.Ledger.WaitForAsync(arrival => arrival.Target == _path);

        client.Abort();
        var duplicate = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}");
        await Assert.ThrowsAsync<TimeoutException>(() => canceled.Task.WaitAsync(Watch));
        working.Release();
        var retry = duplicate;
        await Eventually.TrueAsync(
            async () => (retry = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}")).Status != 409, "the retry is answered");

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.False(canceled.Task.IsCompleted);
        Assert.Equal(409, duplicate.Status);
        Assert.Equal((201, "true"), (retry.Status, retry.Header("Idempotent-Replayed")));
        Assert.StartsWith("{\"execution\":", retry.Text, StringComparison.Ordinal);
    }

    /// <summary>Its answer begins when the request's way is over, and with it what ends a forward whose client is gone.</summary>
    [Fact]
    public async Task AClientThatHangsUp_WhileALockedRequestIsAnsweredWithoutContent_IsNoError()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var working = new SyncPoint();
        backend.Handler = async context =>
        {
            await working.Released;
            context.Response.StatusCode = 204;
        };
        await using var own = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { alone = new { Key = Array.Empty<string>(), Lock = new { On = "query:seat" } } }, new GatewayRoute("/{**rest}", backend.Url, "alone")));
        await using var client = await RawClient.ConnectAsync(own.Url);
        await client.SendAsync("POST /seats?seat=1 HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0\r\n\r\n");
        await backend.WaitForArrivalsAsync(1);

        client.Abort();
        await Task.Delay(Watch);
        working.Release();
        await Eventually.TrueAsync(async () => (await KeyedRequests.PostAsync(gateway.Client, own.Url + "/seats?seat=1", key: null)).Status == 204, "the lock is free");

        Assert.Equal(0, await own.TerminateAsync());
        Assert.DoesNotContain(own.Output, line => line.Contains("nhandled exception", StringComparison.Ordinal));
    }

    [Fact]
    public async Task AClientThatHangsUp_WhileALargeAnswerIsOnItsWay_LeavesTheKeySettled()
    {
        using var sending = new SyncPoint();
        gateway.AnswerAt(_path, async context =>
        {
            context.Response.ContentType = "text/event-stream";
            await context.Response.WriteAsync("data: 1\n\n");
            await context.Response.Body.FlushAsync();
            await sending.Released;
            await context.Response.WriteAsync("data: 2\n\n");
        });
        await using (var client = await RawClient.ConnectAsync(gateway.Url))
        {
            await client.SendAsync(gateway.RawRequest("POST", _path, "{}", $"Idempotency-Key: {_key}"));
            await gateway.Backend.Ledger.WaitForAsync(arrival => arrival.Target == _path);
            client.Abort();
        }

        sending.Release();
        Http1Message? retry = null;
        await Eventually.TrueAsync(
            async () => !IsInProgress(retry = await gateway.PostRawAsync(_path, "{}", $"Idempotency-Key: {_key}")), "settled");

        Assert.Single(gateway.ArrivalsAt(_path));
        Assert.Contains("#answer-not-kept", retry!.Text, StringComparison.Ordinal);
    }

    private static bool IsInProgress(Http1Message answer) => answer.Text.Contains("#in-progress", StringComparison.Ordinal);
}
