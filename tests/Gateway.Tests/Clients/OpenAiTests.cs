using System.Globalization;
using System.Text.Json;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Clients;

/// <summary>openai-node, with answers as a whole and as streams.</summary>
public sealed class OpenAiTests : IAsyncLifetime
{
    private static readonly string[] Pieces = ["Good ", "morning, ", "world"];

    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(AnswerAsync);
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { llm = new { Response = new { Delivery = "Streamed" } } }, new GatewayRoute("/v1/{**rest}", _backend.Url, "llm")));
    }

    public async Task DisposeAsync()
    {
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [NodeFact]
    public Task Buffered_IsRepeated() => AssertAnsweredAsync("buffered", string.Concat(Pieces));

    [NodeFact]
    public Task Streamed_IsRepeated() => AssertAnsweredAsync("streamed", string.Concat(Pieces));

    [NodeFact]
    public Task AfterAnAbort_TheRetryGetsTheWholeAnswer() => AssertAnsweredAsync("aborted", Pieces[0]);

    private async Task AssertAnsweredAsync(string scenario, string first)
    {
        var calls = await NodeClients.RunAsync("openai.mjs", new Uri(_gateway!.Url).Port.ToString(CultureInfo.InvariantCulture), scenario, _key);

        Assert.Single(_backend!.Ledger);
        Assert.Equal(JsonSerializer.Serialize(new[] { new { text = first }, new { text = string.Concat(Pieces) } }), JsonSerializer.Serialize(calls));
    }

    private static async Task AnswerAsync(HttpContext context)
    {
        var request = (await JsonDocument.ParseAsync(context.Request.Body)).RootElement;
        if (!request.TryGetProperty("stream", out var stream) || !stream.GetBoolean())
        {
            await context.Response.WriteAsJsonAsync(new { id = "c1", choices = new[] { new { index = 0, message = new { role = "assistant", content = string.Concat(Pieces) } } } });
            return;
        }

        context.Response.ContentType = "text/event-stream";
        foreach (var piece in Pieces)
        {
            await context.Response.WriteAsync($"data: {JsonSerializer.Serialize(new { id = "c1", choices = new[] { new { index = 0, delta = new { content = piece } } } })}\n\n");
            await context.Response.Body.FlushAsync();
            await Task.Delay(300);
        }

        await context.Response.WriteAsync("data: [DONE]\n\n");
    }
}
