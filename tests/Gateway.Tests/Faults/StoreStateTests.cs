using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>Redis answers, but not as it should: it refuses to write, was restarted, or was emptied.</summary>
public sealed class StoreStateTests : IAsyncLifetime
{
    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
    }

    [RedisTheory(ownServer: true)]
    [InlineData("maxmemory", "1", "0", "OOM")]
    [InlineData("min-replicas-to-write", "1", "0", "NOREPLICAS")]
    public async Task AStoreThatRefusesToWrite_IsAStoreThatIsDown_UntilItWritesAgain(string setting, string bad, string good, string named)
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var gateway = await StartGatewayAsync(redis);
        await PostUntilServedAsync(gateway, EmbeddedGateway.NewKey());
        await redis.CommandAsync("CONFIG", "SET", setting, bad);

        var refused = await PostAsync(gateway, _key);
        Assert.Empty(Backend.ArrivalsFor(_key));
        Expect.Problem(503, "store-unavailable", refused);
        await gateway.Output.WaitForAsync(line => line.Contains(named, StringComparison.Ordinal));
        await redis.CommandAsync("CONFIG", "SET", setting, good);
        var first = await PostUntilServedAsync(gateway, _key);

        Assert.Single(Backend.ArrivalsFor(_key));
        Assert.Equal((201, false), (first.Status, first.IsReplay));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsRestartedWithItsData_StillHasTheAnswer()
    {
        await using var redis = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        await using var gateway = await StartGatewayAsync(redis);
        var first = await PostUntilServedAsync(gateway, _key);

        await redis.StopAsync();
        await redis.StartAsync();
        await using var newcomer = await StartGatewayAsync(redis);
        var retry = await PostUntilServedAsync(newcomer, _key);

        Assert.Single(Backend.ArrivalsFor(_key));
        Expect.Replay(first, retry);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatWasEmptied_IsNoticed_AndGetsBackWhatWasJustWritten()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await using var gateway = await StartGatewayAsync(redis);
        var first = await PostUntilServedAsync(gateway, _key);

        await redis.FlushAllAsync();
        await gateway.Output.WaitForAsync(line => line.Contains("restarted or emptied", StringComparison.Ordinal));
        var retry = await PostUntilServedAsync(gateway, _key);

        Assert.Single(Backend.ArrivalsFor(_key));
        Expect.Replay(first, retry);
    }

    private Task<GatewayProcess> StartGatewayAsync(RedisServer redis) => GatewayProcess.StartAsync(
        GatewayConfig.Write(GatewayConfig.Redis(redis.Configuration), new { }, new GatewayRoute("/{**rest}", Backend.Url)));

    private Task<Answer> PostAsync(GatewayProcess gateway, string key) =>
        KeyedRequests.PostAsync(_client, gateway.Url + "/orders", key, headers: [KeyValuePair.Create("Host", "api.example")]);

    private async Task<Answer> PostUntilServedAsync(GatewayProcess gateway, string key)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(
            async () => (answer = await PostAsync(gateway, key)).ProblemType is not ("store-unavailable" or "in-progress"), "the store serves");
        return answer!;
    }
}
