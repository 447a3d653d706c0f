using System.Net.Sockets;
using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>The faults that the proxy makes are the faults that it claims to make.</summary>
public sealed class ProxyTests
{
    [Fact]
    public async Task Proxy_BlackHole_HoldsTheRequestBack_AndDeliversItWhenHealed()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var proxy = TcpProxy.Start(new Uri(backend.Url).Authority);
        using var client = KeyedRequests.NewClient();
        await KeyedRequests.PostAsync(client, $"http://{proxy.Endpoint}", "before");

        proxy.BlackHole();
        var silent = KeyedRequests.PostAsync(client, $"http://{proxy.Endpoint}", "during");
        await proxy.Held.WaitForCountAsync(1);
        Assert.Single(backend.Ledger);
        proxy.Heal();

        Assert.Equal(201, (await silent).Status);
        Assert.Equal(2, backend.Ledger.Count);
    }

    [Fact]
    public async Task Proxy_BlackHoleToClient_LosesOnlyTheAnswer()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var proxy = TcpProxy.Start(new Uri(backend.Url).Authority);
        using var client = KeyedRequests.NewClient();

        proxy.BlackHole(TcpDirections.ToClient);
        var unanswered = KeyedRequests.PostAsync(client, $"http://{proxy.Endpoint}", "executed");
        await proxy.Held.WaitForCountAsync(1);
        Assert.Single(backend.Ledger);
        proxy.Cut();

        await Assert.ThrowsAsync<HttpRequestException>(() => unanswered);
        Assert.Single(backend.Ledger);
    }

    [Fact]
    public async Task Proxy_ForgetConnections_SilencesThoseThatAreOpen_AndPassesNewOnes()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var proxy = TcpProxy.Start(new Uri(backend.Url).Authority);
        using var early = KeyedRequests.NewClient();
        using var late = KeyedRequests.NewClient();
        await KeyedRequests.PostAsync(early, $"http://{proxy.Endpoint}", "before");

        proxy.ForgetConnections();
        var silent = KeyedRequests.PostAsync(early, $"http://{proxy.Endpoint}", "during");
        Assert.Equal(201, (await KeyedRequests.PostAsync(late, $"http://{proxy.Endpoint}", "anew")).Status);
        Assert.Equal(2, backend.Ledger.Count);
        proxy.Heal();

        Assert.Equal(201, (await silent).Status);
        Assert.Equal(3, backend.Ledger.Count);
    }

    [Fact]
    public async Task Proxy_RefusesConnects_UntilHealed()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        await using var proxy = TcpProxy.Start(new Uri(backend.Url).Authority);
        await RawClient.ExchangeAsync($"http://{proxy.Endpoint}", "GET / HTTP/1.1\r\nHost: x\r\n\r\n");

        proxy.Refuse();
        var refused = await Assert.ThrowsAsync<SocketException>(() => RawClient.ConnectAsync($"http://{proxy.Endpoint}"));
        proxy.Heal();
        var answer = await RawClient.ExchangeAsync($"http://{proxy.Endpoint}", "GET / HTTP/1.1\r\nHost: x\r\n\r\n");

        Assert.Equal(SocketError.ConnectionRefused, refused.SocketErrorCode);
        Assert.Equal(201, answer!.Status);
    }
}
