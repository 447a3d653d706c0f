using System.Diagnostics;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// The store goes away and comes back, in every way that a network and a process can. Keyed requests are refused in time and nothing is
/// forwarded; un-keyed ones do not notice; and the gateway recovers by itself.
/// </summary>
public sealed class StoreOutageTests : IAsyncLifetime
{
    /// <summary>Three times the store's timeout: an answer after that would have waited for something else.</summary>
    private static readonly TimeSpan InTime = TimeSpan.FromSeconds(3);

    /// <summary>Less than the lease: a key that is free only because a lease ended was blocked.</summary>
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(20);

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private RedisServer? _redis;
    private TcpProxy? _link;

    private ScriptedBackend Backend => _backend!;

    private RedisServer Redis => _redis!;

    private TcpProxy Link => _link!;

    public async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            _backend = await ScriptedBackend.StartAsync();
            _redis = await RedisServer.StartOwnAsync();
            _link = TcpProxy.Start(_redis.Configuration);
        }
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await (_link?.DisposeAsync() ?? default);
        await (_redis?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsDownAtTheStart_IsWaitedFor()
    {
        await Redis.StopAsync();
        await using var gateway = await StartGatewayAsync();

        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.StartAsync();

        await AssertRecoversAsync(gateway, _key);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsKilled_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        await Redis.StopAsync();

        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.StartAsync();

        await AssertRecoversAsync(gateway, _key);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatHangs_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        await Redis.PauseAsync();

        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.ResumeAsync();

        await AssertRecoversAsync(gateway, _key);
    }

    [RedisFact(ownServer: true)]
    public async Task ALinkThatGoesSilent_IsReplaced()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        Link.BlackHole();

        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertUnkeyedWorksAsync(gateway);
        await gateway.Output.WaitForAsync(line => line.Contains("it is replaced", StringComparison.Ordinal));
        await AssertRefusedInTimeAsync(gateway, _key);
        Link.Heal();

        await AssertRecoversAsync(gateway, _key);
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKey()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(gateway, _key);
        await Link.Held.WaitForAsync(direction => direction == TcpDirections.ToClient);
        Link.Heal();

        await AssertRecoversAsync(gateway, _key);
    }

    /// <param name="hasReleased">Whether the server has seen a release before, and so knows its script.</param>
    [RedisTheory(ownServer: true)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKeyElsewhere_AndRaisesNoAlarm(bool hasReleased)
    {
        await using var cutOff = await StartConnectedGatewayAsync();
        await using var healthy = await StartConnectedGatewayAsync(Redis.Configuration);
        if (hasReleased)
        {
            Backend.Handler = context => Task.FromResult(context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable);
            Assert.Equal("released", (await PostAsync(healthy, EmbeddedGateway.NewKey())).Header("Idempotency-Status"));
            Backend.Handler = Backend.AnswerCreatedAsync;
        }

        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(cutOff, _key);
        await AssertRecoversAsync(healthy, _key);
        Link.Cut(); // the reply to the release is lost for good, so that it is repeated
        Link.Heal();
        await cutOff.Output.WaitForAsync(line => line.Contains("recorded late", StringComparison.Ordinal));

        Assert.Single(Backend.ArrivalsFor(_key));
        Assert.DoesNotContain(cutOff.Output, line => line.Contains("may have run twice", StringComparison.Ordinal));
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimThatArrivesLate_HasNoEffect()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        var recordsBefore = await Redis.CommandAsync("DBSIZE");
        Link.BlackHole(TcpDirections.ToServer);

        await AssertRefusedInTimeAsync(gateway, _key);
        await AssertRefusedInTimeAsync(gateway, EmbeddedGateway.NewKey());
        Link.Heal();
        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());

        // Only the request of the recovery is on record.
        Assert.Equal(int.Parse(recordsBefore, provider: null) + 1, int.Parse(await Redis.CommandAsync("DBSIZE"), provider: null));
        Assert.Empty(Backend.ArrivalsFor(_key));
        var retry = await PostAsync(gateway, _key);
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatFailsWhileTheBackendWorks_DoesNotHideTheAnswer_AndGetsItLater()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        using var held = Backend.Hold();
        var running = PostAsync(gateway, _key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == _key);
        await Redis.PauseAsync();

        held.Release();
        var first = await running;
        await Redis.ResumeAsync();
        var retry = first;
        await Eventually.TrueAsync(async () => (retry = await PostAsync(gateway, _key)).IsReplay, "recorded late");

        Assert.Single(Backend.ArrivalsFor(_key));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Assert.Equal((first.Status, first.Text), (retry.Status, retry.Text));
        Assert.Null(retry.Header("Idempotency-Status"));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatLostEverything_DoesNotDivideTheGateways()
    {
        await using var older = await StartConnectedGatewayAsync();
        await older.PauseAsync();
        await Redis.StopAsync();
        await Redis.StartAsync();
        await using var younger = await StartConnectedGatewayAsync();
        await older.ResumeAsync();
        await AssertRecoversAsync(older, EmbeddedGateway.NewKey());

        var first = await PostAsync(younger, _key);
        var retry = await PostAsync(older, _key);

        Assert.Single(Backend.ArrivalsFor(_key));
        Expect.Replay(first, retry);
    }

    [RedisFact(ownServer: true)]
    public async Task WithBypass_RequestsAreForwardedWhileTheStoreIsDown_AndSaySo()
    {
        await using var gateway = await StartConnectedGatewayAsync();
        await Redis.StopAsync();

        var first = await PostAsync(gateway, _key, "/bypass");
        var second = await PostAsync(gateway, _key, "/bypass");

        Assert.Equal(2, Backend.ArrivalsFor(_key).Count);
        Assert.All(
            [first, second],
            answer => Assert.Equal((201, "bypassed", false), (answer.Status, answer.Header("Idempotency-Status"), answer.IsReplay)));
    }

    [RedisFact(ownServer: true)]
    public async Task WithBypass_RequestsAreProtectedWhileTheStoreIsUp()
    {
        await using var gateway = await StartConnectedGatewayAsync();

        var first = await PostAsync(gateway, _key, "/bypass");
        var retry = await PostAsync(gateway, _key, "/bypass");

        Assert.Single(Backend.ArrivalsFor(_key));
        Assert.Null(first.Header("Idempotency-Status"));
        Expect.Replay(first, retry);
    }

    /// <param name="store">Instead of the link that the test interrupts.</param>
    private Task<GatewayProcess> StartGatewayAsync(string? store = null) => GatewayProcess.StartAsync(GatewayConfig.Write(
        GatewayConfig.Redis(store ?? Link.Endpoint),
        new { bypass = new { StoreDown = "Bypass" } },
        new GatewayRoute("/{**rest}", Backend.Url),
        new GatewayRoute("/bypass/{**rest}", Backend.Url, "bypass"),
        new GatewayRoute("/plain/{**rest}", Backend.Url, Policy: null)));

    private async Task<GatewayProcess> StartConnectedGatewayAsync(string? store = null)
    {
        var gateway = await StartGatewayAsync(store);
        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());
        return gateway;
    }

    private Task<Answer> PostAsync(GatewayProcess gateway, string key, string path = "/orders") =>
        KeyedRequests.PostAsync(_client, gateway.Url + path, key, headers: [KeyValuePair.Create("Host", "api.example")]);

    private async Task AssertRefusedInTimeAsync(GatewayProcess gateway, string key)
    {
        var before = Backend.Ledger.Count;
        var watch = Stopwatch.StartNew();

        var answer = await PostAsync(gateway, key);

        Assert.Equal(before, Backend.Ledger.Count);
        Expect.Problem(503, "store-unavailable", answer);
        Assert.NotNull(answer.Header("Retry-After"));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
    }

    private async Task AssertUnkeyedWorksAsync(GatewayProcess gateway)
    {
        var watch = Stopwatch.StartNew();
        var post = await KeyedRequests.PostAsync(_client, gateway.Url + "/plain/1", key: null);
        var get = await KeyedRequests.SendAsync(_client, HttpMethod.Get, gateway.Url + "/orders/1", null, []);

        Assert.Equal((201, 201), (post.Status, get.Status));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
    }

    /// <summary>The key is refused until the store is found, or an own lost claim is undone, and then its request is forwarded once.</summary>
    private async Task AssertRecoversAsync(GatewayProcess gateway, string key)
    {
        Answer? first = null;
        await Eventually.TrueAsync(
            async () => (first = await PostAsync(gateway, key)).ProblemType is not ("store-unavailable" or "in-progress"),
            "the key is free",
            Recovery);

        Assert.Single(Backend.ArrivalsFor(key));
        Assert.Equal((201, false), (first!.Status, first.IsReplay));
        Expect.Replay(first, await PostAsync(gateway, key));
        Assert.Single(Backend.ArrivalsFor(key));
    }
}
