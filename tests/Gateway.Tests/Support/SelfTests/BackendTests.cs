using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>The backend is the witness of all end-to-end tests, so it is examined first.</summary>
public sealed class BackendTests
{
    [Fact]
    public async Task Backend_CountsEveryExecution_AndAnswersEachDifferently()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();

        var first = await KeyedRequests.PostAsync(client, backend.Url + "/orders?a=%2F", "k1", "{\"n\":1}");
        var second = await KeyedRequests.PostAsync(client, backend.Url + "/orders", "k1", "{\"n\":1}");

        Assert.Equal(2, backend.ArrivalsFor("k1").Count);
        Assert.Equal("/orders?a=%2F", backend.ArrivalsFor("k1")[0].Target);
        Assert.Equal(backend.ArrivalsFor("k1")[0].BodySha256, backend.ArrivalsFor("k1")[1].BodySha256);
        Assert.Equal(201, first.Status);
        Assert.Equal("/executions/2", second.Header("Location"));
        Assert.NotEqual(first.Text, second.Text);
        Assert.False(first.IsReplay);
        Assert.Null(first.ProblemType);
    }

    [Fact]
    public async Task Backend_SpeaksHttp2WithoutTls()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();
        client.DefaultRequestVersion = System.Net.HttpVersion.Version20;
        client.DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact;
        using var content = new StringContent("x");

        using var response = await client.PostAsync(new Uri(backend.Http2Url + "/two"), content);

        Assert.Equal("/two", Assert.Single(backend.Ledger).Target);
        Assert.Equal(2, response.Version.Major);
    }

    [Fact]
    public async Task Backend_HoldsRequests_UntilReleased()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();
        using var hold = backend.Hold();

        var answer = KeyedRequests.PostAsync(client, backend.Url, "held");
        await backend.WaitForArrivalsAsync(1);
        Assert.False(answer.IsCompleted);
        hold.Release();

        Assert.Equal(201, (await answer).Status);
    }

    [Fact]
    public async Task Backend_GoesDownDuringARequest_AndComesBackOnTheSamePort()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();
        using var hold = backend.Hold();
        var lost = KeyedRequests.PostAsync(client, backend.Url, "lost");
        await backend.WaitForArrivalsAsync(1);

        await backend.StopAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => lost);
        var refused = await Assert.ThrowsAsync<HttpRequestException>(() => KeyedRequests.PostAsync(client, backend.Url, "refused"));
        Assert.Equal(HttpRequestError.ConnectionError, refused.HttpRequestError);
        hold.Release();
        await backend.StartAgainAsync();

        Assert.Equal(201, (await KeyedRequests.PostAsync(client, backend.Url, "back")).Status);
        Assert.Equal(["lost", "back"], backend.Ledger.Select(arrival => arrival.Key));
    }

    [Fact]
    public async Task Backend_DoesNotCountARequestWhoseBodyWasCut()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        using var client = KeyedRequests.NewClient();
        var cutter = await RawClient.ConnectAsync(backend.Url);
        await cutter.SendAsync("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
        cutter.Abort();

        await KeyedRequests.PostAsync(client, backend.Url, "whole");

        Assert.Equal("whole", Assert.Single(backend.Ledger).Key);
    }
}
