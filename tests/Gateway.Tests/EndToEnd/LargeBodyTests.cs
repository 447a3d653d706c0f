using System.Security.Cryptography;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Bodies beyond Kestrel's own limit (30,000,000 bytes), where the gateway only passes them on.</summary>
public sealed class LargeBodyTests : IAsyncLifetime
{
    private const int Size = 31_000_000;

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_backend?.DisposeAsync() ?? default);
    }

    [Fact]
    public async Task WhatIsOnlyPassedOn_HasNoLimit_UnlessTheServerIsGivenOne()
    {
        var body = RandomNumberGenerator.GetBytes(Size);
        await using (var gateway = await StartAsync())
        {
            var open = await SendAsync(gateway, HttpMethod.Post, "/open", body);
            var uncovered = await SendAsync(gateway, HttpMethod.Put, "/optional", body);
            var keyless = await SendAsync(gateway, HttpMethod.Post, "/optional", body);

            Assert.Equal([201, 201, 201], [open.Status, uncovered.Status, keyless.Status]);
            Assert.Equal(3, _backend!.Ledger.Count);
            Assert.All(_backend.Ledger, arrival => Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(body)), arrival.BodySha256));
        }

        await using var limited = await StartAsync(("Kestrel__Limits__MaxRequestBodySize", "1000000"));
        await using var announced = await RawClient.ConnectAsync(limited.Url);
        await announced.SendAsync($"POST /open HTTP/1.1\r\nHost: gateway\r\nContent-Length: {Size}\r\n\r\n");
        Assert.Equal(413, (await announced.ReadResponseAsync())!.Status);
        Assert.Equal(3, _backend!.Ledger.Count);
    }

    private Task<GatewayProcess> StartAsync(params (string Name, string Value)[] environment) => GatewayProcess.StartAsync(
        GatewayConfig.Write(
            GatewayConfig.Embedded, new { optional = new { Mode = "Optional" } }, new GatewayRoute("/open", _backend!.Url, Policy: null), new GatewayRoute("/optional", _backend.Url, "optional")),
        environment.ToDictionary(item => item.Name, item => item.Value));

    private Task<Answer> SendAsync(GatewayProcess gateway, HttpMethod method, string path, byte[] body) =>
        KeyedRequests.SendAsync(_client, method, gateway.Url + path, key: null, body);
}
