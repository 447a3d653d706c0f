using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A key stands for one request: any other request with it is refused, whatever became of the first.</summary>
public sealed class KeyReuseTests(EmbeddedGateway gateway) : IClassFixture<EmbeddedGateway>
{
    private readonly string _path = EmbeddedGateway.NewPath();
    private readonly string _key = EmbeddedGateway.NewKey();

    [Theory]
    [InlineData("body")]
    [InlineData("path")]
    [InlineData("query")]
    [InlineData("method")]
    [InlineData("Content-Type")]
    public async Task AnotherRequest_AfterTheFirstFinished_IsRefused(string difference)
    {
        var first = await gateway.PostAsync(_path, _key, "{}");

        var other = await SendOtherAsync(difference);

        Assert.Equal(_path, Assert.Single(gateway.Backend.ArrivalsFor(_key)).Target);
        Expect.Problem(422, "key-reused", other);
        Assert.Contains($"What differs: {(difference == "Content-Type" ? "header Content-Type" : difference)}.", other.Text, StringComparison.Ordinal);
        Expect.Replay(first, await gateway.PostAsync(_path, _key, "{}"));
    }

    [Theory]
    [InlineData("body")]
    [InlineData("path")]
    [InlineData("query")]
    [InlineData("method")]
    [InlineData("Content-Type")]
    public async Task AnotherRequest_WhileTheFirstIsRunning_IsRefused(string difference)
    {
        using var held = gateway.Backend.Hold();
        var running = gateway.PostAsync(_path, _key, "{}");
        await gateway.Backend.Ledger.WaitForAsync(arrival => arrival.Key == _key);

        var other = await SendOtherAsync(difference);
        var same = await gateway.PostAsync(_path, _key, "{}");
        held.Release();

        Assert.Equal(_path, Assert.Single(gateway.Backend.ArrivalsFor(_key)).Target);
        Expect.Problem(422, "key-reused", other);
        Expect.InProgress(same);
        Assert.Equal(201, (await running).Status);
    }

    private Task<Answer> SendOtherAsync(string difference) => KeyedRequests.SendAsync(
        gateway.Client,
        difference == "method" ? HttpMethod.Patch : HttpMethod.Post,
        gateway.Url + _path + (difference is "path" ? "/more" : difference is "query" ? "?more=1" : ""),
        _key,
        Encoding.UTF8.GetBytes(difference == "body" ? "{ }" : "{}"),
        difference == "Content-Type" ? [KeyValuePair.Create("Content-Type", "application/json; charset=utf-8")] : []);
}
