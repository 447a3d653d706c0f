using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>That a stream has begun reaches its reader before the first event, on whatever kind of route.</summary>
public sealed class StreamHeadTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded,
            new
            {
                streamed = new { Response = new { Delivery = "Streamed" } },
                locked = new { Key = Array.Empty<string>(), Lock = new { On = "query:seat" } },
                observed = new { Mode = "Observe" },
            },
            new GatewayRoute("/open", _backend.Url, Policy: null),
            new GatewayRoute("/default", _backend.Url),
            new GatewayRoute("/streamed", _backend.Url, "streamed"),
            new GatewayRoute("/locked", _backend.Url, "locked"),
            new GatewayRoute("/observed", _backend.Url, "observed")));
    }

    public async Task DisposeAsync()
    {
        _more.TrySetResult();
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [Theory]
    [InlineData("open", "text/event-stream")]
    [InlineData("open", "application/x-ndjson")]
    [InlineData("open", "multipart/x-mixed-replace; boundary=b")]
    [InlineData("default", "text/event-stream; charset=utf-8")]
    [InlineData("streamed", "text/event-stream")]
    [InlineData("streamed", "application/x-ndjson")]
    [InlineData("locked", "text/event-stream")]
    [InlineData("observed", "text/event-stream")]
    public async Task TheHeadComesFirst(string route, string type)
    {
        var key = EmbeddedGateway.NewKey();
        using var request = new HttpRequestMessage(HttpMethod.Post, $"{_gateway!.Url}/{route}?seat={key}") { Content = new StringContent(type) };
        request.Headers.Add("Idempotency-Key", key);

        using var answer = await _client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).WaitAsync(Bounds.Wait);
        Assert.False(_more.Task.IsCompleted);
        _more.SetResult();
        var body = await answer.Content.ReadAsStringAsync();

        Assert.Single(_backend!.Ledger);
        Assert.Equal((200, type, "data: 1\n\n"), ((int)answer.StatusCode, answer.Content.Headers.ContentType?.ToString(), body));
        if (route == "default")
        {
            var retry = await KeyedRequests.PostAsync(_client, $"{_gateway.Url}/{route}?seat={key}", key, type, [KeyValuePair.Create("Content-Type", "text/plain; charset=utf-8")]);
            Expect.NotKept(TombstoneReason.Stream, 200, null, retry);
        }
    }

    private async Task AnswerAsync(HttpContext context)
    {
        using var reader = new StreamReader(context.Request.Body);
        context.Response.ContentType = await reader.ReadToEndAsync();
        await context.Response.Body.FlushAsync();
        await _more.Task;
        await context.Response.WriteAsync("data: 1\n\n");
    }
}
