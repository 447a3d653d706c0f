using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What a client that was refused can say to those who run the gateway, and what programs see that know nothing of RFC 9457.</summary>
public sealed class RefusalTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync();
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { apart = new { Scope = "global" } }, new GatewayRoute("/{**rest}", _backend.Url, "apart")));
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task FromTheProblemAlone_ItsLogLineIsFound()
    {
        var key = EmbeddedGateway.NewKey();
        await KeyedRequests.PostAsync(_client, _gateway!.Url + "/orders", key, "{}");

        var refused = await KeyedRequests.PostAsync(_client, _gateway.Url + "/orders", key, """{"other":1}""");

        Expect.Problem(422, "key-reused", refused);
        var instance = refused.Problem!.Value.GetProperty("instance").GetString()!;
        Assert.Matches("^urn:idempotency:[0-9a-f]{8}$", instance);
        var record = instance[^8..];
        await _gateway.Output.WaitForAsync(line => line.Contains($"{record}: POST on route /{{**rest}} was refused, key-reused", StringComparison.Ordinal));
        Assert.DoesNotContain(_gateway.Output, line => line.Contains(key, StringComparison.Ordinal));
    }

    [Fact]
    public async Task ARequestWithoutARecord_HasALineToo_AndNoInstance()
    {
        var refused = await KeyedRequests.PostAsync(_client, _gateway!.Url + "/orders", key: null);

        Expect.Problem(400, "key-missing", refused);
        Assert.False(refused.Problem!.Value.TryGetProperty("instance", out _));
        await _gateway.Output.WaitForAsync(line => line.Contains("was refused, key-missing", StringComparison.Ordinal));
    }

    [Fact]
    public async Task WhatIsRefusedAtTheDoor_HasALineToo()
    {
        var refused = await RawClient.ExchangeAsync(_gateway!.Url, "TRACE /orders HTTP/1.1\r\nHost: x\r\n\r\n");

        Assert.Equal(405, refused!.Status);
        await _gateway.Output.WaitForAsync(line => line.Contains("TRACE on route - was refused, request-invalid", StringComparison.Ordinal));
    }

    /// <summary>stripe-node takes an answer without <c>error</c> for a success, whatever its status.</summary>
    [Fact]
    public async Task EveryProblem_HasTheMemberError()
    {
        var key = EmbeddedGateway.NewKey();
        await KeyedRequests.PostAsync(_client, _gateway!.Url + "/orders", key, "{}");

        foreach (var (refused, type, code) in (IEnumerable<(Answer, string, string)>)
            [
                (await KeyedRequests.PostAsync(_client, _gateway.Url + "/orders", key, "[]"), "idempotency_error", "key-reused"),
                (await KeyedRequests.PostAsync(_client, _gateway.Url + "/orders", key: null), "idempotency_error", "key-missing"),
                (await KeyedRequests.PostAsync(_client, _gateway.Url + "/orders", EmbeddedGateway.NewKey(), new string('x', 2_000_000)), "invalid_request_error", "request-too-large"),
            ])
        {
            var error = refused.Problem!.Value.GetProperty("error");
            Assert.Equal((type, code), (error.GetProperty("type").GetString(), error.GetProperty("code").GetString()));
            Assert.Equal(refused.Problem.Value.GetProperty("detail").GetString(), error.GetProperty("message").GetString());
        }
    }
}
