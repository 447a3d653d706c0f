using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// The store goes away and comes back, in every way that a network and a process can. Keyed requests are refused in time and nothing is
/// forwarded; un-keyed ones do not notice; and the gateway recovers by itself.
/// </summary>
public sealed class StoreOutageTests : StoreFaults
{
    private RedisServer? _redis;
    private TcpProxy? _link;

    private RedisServer Redis => _redis!;

    private TcpProxy Link => _link!;

    public override async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            await base.InitializeAsync();
            _redis = await RedisServer.StartOwnAsync();
            _link = TcpProxy.Start(_redis.Configuration);
        }
    }

    public override async Task DisposeAsync()
    {
        await (_link?.DisposeAsync() ?? default);
        await (_redis?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsDownAtTheStart_IsWaitedFor()
    {
        await Redis.StopAsync();
        await using var gateway = await StartGatewayAsync(Link.Endpoint);

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.StartAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatIsKilled_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        await Redis.StopAsync();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.StartAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatHangs_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        await Redis.PauseAsync();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await Redis.ResumeAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [RedisFact(ownServer: true)]
    public async Task ALinkThatGoesSilent_IsReplaced()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        Link.BlackHole();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await gateway.Output.WaitForAsync(line => line.Contains("it is replaced", StringComparison.Ordinal));
        await AssertRefusedInTimeAsync(gateway, Key);
        Link.Heal();

        await AssertRecoversAsync(gateway, Key);
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKey()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(gateway, Key);
        await Link.Held.WaitForAsync(direction => direction == TcpDirections.ToClient);
        Link.Heal();

        await AssertRecoversAsync(gateway, Key);
    }

    /// <param name="hasReleased">Whether the server has seen a release before, and so knows its script.</param>
    [RedisTheory(ownServer: true)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKeyElsewhere_AndRaisesNoAlarm(bool hasReleased)
    {
        await using var cutOff = await StartConnectedGatewayAsync(Link.Endpoint);
        await using var healthy = await StartConnectedGatewayAsync(Redis.Configuration);
        if (hasReleased)
        {
            Backend.Handler = context => Task.FromResult(context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable);
            Assert.Equal("released", (await PostAsync(healthy, EmbeddedGateway.NewKey())).Header("Idempotency-Status"));
            Backend.Handler = Backend.AnswerCreatedAsync;
        }

        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(cutOff, Key);
        await AssertRecoversAsync(healthy, Key);
        Link.Cut(); // the reply to the release is lost for good, so that it is repeated
        Link.Heal();
        await cutOff.Output.WaitForAsync(line => line.Contains("recorded late", StringComparison.Ordinal));

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.DoesNotContain(cutOff.Output, line => line.Contains("may have run twice", StringComparison.Ordinal));
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimThatArrivesLate_HasNoEffect()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        var recordsBefore = await Redis.CommandAsync("DBSIZE");
        Link.BlackHole(TcpDirections.ToServer);

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertRefusedInTimeAsync(gateway, EmbeddedGateway.NewKey());
        Link.Heal();
        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());

        // Only the request of the recovery is on record.
        Assert.Equal(int.Parse(recordsBefore, provider: null) + 1, int.Parse(await Redis.CommandAsync("DBSIZE"), provider: null));
        Assert.Empty(Backend.ArrivalsFor(Key));
        var retry = await PostAsync(gateway, Key);
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatFailsWhileTheBackendWorks_DoesNotHideTheAnswer_AndGetsItLater()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        using var held = Backend.Hold();
        var running = PostAsync(gateway, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);
        await Redis.PauseAsync();

        held.Release();
        var first = await running;
        await Redis.ResumeAsync();
        var retry = first;
        await Eventually.TrueAsync(async () => (retry = await PostAsync(gateway, Key)).IsReplay, "recorded late");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Assert.Equal((first.Status, first.Text), (retry.Status, retry.Text));
        Assert.Null(retry.Header("Idempotency-Status"));
    }

    [RedisFact(ownServer: true)]
    public async Task AStoreThatLostEverything_DoesNotDivideTheGateways()
    {
        await using var older = await StartConnectedGatewayAsync(Link.Endpoint);
        await older.PauseAsync();
        await Redis.StopAsync();
        await Redis.StartAsync();
        await using var younger = await StartConnectedGatewayAsync(Link.Endpoint);
        await older.ResumeAsync();
        await AssertRecoversAsync(older, EmbeddedGateway.NewKey());

        var first = await PostAsync(younger, Key);
        var retry = await PostAsync(older, Key);

        Assert.Single(Backend.ArrivalsFor(Key));
        Expect.Replay(first, retry);
    }

    [RedisFact(ownServer: true)]
    public async Task WithBypass_RequestsAreForwardedWhileTheStoreIsDown_AndSaySo()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);
        await Redis.StopAsync();

        var first = await PostAsync(gateway, Key, "/bypass");
        var second = await PostAsync(gateway, Key, "/bypass");

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.All(
            [first, second],
            answer => Assert.Equal((201, "bypassed", false), (answer.Status, answer.Header("Idempotency-Status"), answer.IsReplay)));
    }

    [RedisFact(ownServer: true)]
    public async Task WithBypass_RequestsAreProtectedWhileTheStoreIsUp()
    {
        await using var gateway = await StartConnectedGatewayAsync(Link.Endpoint);

        var first = await PostAsync(gateway, Key, "/bypass");
        var retry = await PostAsync(gateway, Key, "/bypass");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Null(first.Header("Idempotency-Status"));
        Expect.Replay(first, retry);
    }
}
