using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// The store goes away and comes back, in every way that a network and a process can. Keyed requests are refused in time and nothing is
/// forwarded; un-keyed ones do not notice; and the gateway recovers by itself.
/// </summary>
public abstract class StoreOutageTests(FaultyStore store) : StoreFaults
{
    private TcpProxy? _link;

    private protected FaultyStore Store => store;

    private protected TcpProxy Link => _link!;

    /// <summary>What it logs when the link says nothing.</summary>
    private protected abstract string NoticesSilence { get; }

    /// <summary>By way of <see cref="Link"/>.</summary>
    private protected object Linked => store.Section(Link.Endpoint);

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await store.StartAsync();
        _link = TcpProxy.Start(store.Endpoint);
    }

    public override async Task DisposeAsync()
    {
        await (_link?.DisposeAsync() ?? default);
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    [StoreFact]
    public async Task AStoreThatIsDownAtTheStart_IsWaitedFor()
    {
        await store.StopAsync();
        await using var gateway = await StartGatewayAsync(Linked);

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await store.StartAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [StoreFact]
    public async Task AStoreThatIsKilled_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        await store.StopAsync();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await store.StartAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [StoreFact]
    public async Task AStoreThatHangs_IsFoundAgain()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        await store.PauseAsync();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await store.ResumeAsync();

        await AssertRecoversAsync(gateway, Key);
    }

    [StoreFact]
    public async Task ALinkThatGoesSilent_IsReplaced()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        Link.BlackHole();

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await gateway.Output.WaitForAsync(line => line.Contains(NoticesSilence, StringComparison.Ordinal));
        await AssertRefusedInTimeAsync(gateway, Key);
        Link.Heal();

        await AssertRecoversAsync(gateway, Key);
    }

    [StoreFact]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKey()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(gateway, Key);
        await Link.Held.WaitForAsync(direction => direction == TcpDirections.ToClient);
        Link.Heal();

        await AssertRecoversAsync(gateway, Key);
    }

    [StoreFact]
    public async Task AClaimThatArrivesLate_HasNoEffect()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        var recordsBefore = await store.CountRecordsAsync();
        Link.BlackHole(TcpDirections.ToServer);

        await AssertRefusedInTimeAsync(gateway, Key);
        await AssertRefusedInTimeAsync(gateway, EmbeddedGateway.NewKey());
        Link.Heal();
        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());

        // Only the request of the recovery is on record.
        Assert.Equal(recordsBefore + 1, await store.CountRecordsAsync());
        Assert.Empty(Backend.ArrivalsFor(Key));
        var retry = await PostAsync(gateway, Key);
        Assert.Equal((201, false), (retry.Status, retry.IsReplay));
    }

    [StoreFact]
    public async Task AStoreThatFailsWhileTheBackendWorks_DoesNotHideTheAnswer_AndGetsItLater()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        using var held = Backend.Hold();
        var running = PostAsync(gateway, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);
        await store.PauseAsync();

        held.Release();
        var first = await running;
        await store.ResumeAsync();
        var retry = first;
        await Eventually.TrueAsync(async () => (retry = await PostAsync(gateway, Key)).IsReplay, "recorded late");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal((201, "not-recorded"), (first.Status, first.Header("Idempotency-Status")));
        Assert.Equal((first.Status, first.Text), (retry.Status, retry.Text));
        Assert.Null(retry.Header("Idempotency-Status"));
    }

    [StoreFact]
    public async Task WithBypass_RequestsAreForwardedWhileTheStoreIsDown_AndSaySo()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);
        await store.StopAsync();

        var first = await PostAsync(gateway, Key, "/bypass");
        var second = await PostAsync(gateway, Key, "/bypass");

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.All(
            [first, second],
            answer => Assert.Equal((201, "bypassed", false), (answer.Status, answer.Header("Idempotency-Status"), answer.IsReplay)));
    }

    [StoreFact]
    public async Task WithBypass_RequestsAreProtectedWhileTheStoreIsUp()
    {
        await using var gateway = await StartConnectedGatewayAsync(Linked);

        var first = await PostAsync(gateway, Key, "/bypass");
        var retry = await PostAsync(gateway, Key, "/bypass");

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Null(first.Header("Idempotency-Status"));
        Expect.Replay(first, retry);
    }
}

[OnRedis]
public sealed class RedisOutageTests() : StoreOutageTests(new FaultyRedis())
{
    private protected override string NoticesSilence => "no answer in time";

    /// <param name="hasReleased">Whether the server has seen a release before, and so knows its script.</param>
    [RedisTheory(ownServer: true)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AClaimWhoseReplyWasLost_DoesNotBlockItsKeyElsewhere_AndRaisesNoAlarm(bool hasReleased)
    {
        await using var cutOff = await StartConnectedGatewayAsync(Linked);
        await using var healthy = await StartConnectedGatewayAsync(Store.Section(Store.Endpoint));
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
    public async Task AStoreThatLostEverything_DoesNotDivideTheGateways()
    {
        await using var older = await StartConnectedGatewayAsync(Linked);
        await older.PauseAsync();
        await Store.StopAsync();
        await Store.StartAsync();
        await using var younger = await StartConnectedGatewayAsync(Linked);
        await older.ResumeAsync();
        await AssertRecoversAsync(older, EmbeddedGateway.NewKey());

        var first = await PostAsync(younger, Key);
        var retry = await PostAsync(older, Key);

        Assert.Single(Backend.ArrivalsFor(Key));
        Expect.Replay(first, retry);
    }
}

[OnPostgres]
public sealed class PostgresOutageTests() : StoreOutageTests(new FaultyPostgres())
{
    private protected override string NoticesSilence => "gave no answer";

    /// <summary>To give it back, its owner needs a new connection, and for that replies.</summary>
    [PostgresFact(ownServer: true)]
    public async Task AClaimWhoseReplyWasLost_BlocksItsKeyElsewhere_UntilTheLinkHeals_AndRaisesNoAlarm()
    {
        await using var cutOff = await StartConnectedGatewayAsync(Linked);
        await using var healthy = await StartConnectedGatewayAsync(Store.Section(Store.Endpoint));
        Link.BlackHole(TcpDirections.ToClient);

        await AssertRefusedInTimeAsync(cutOff, Key);
        Expect.InProgress(await PostAsync(healthy, Key));
        Link.Cut();
        Link.Heal();
        await cutOff.Output.WaitForAsync(line => line.Contains("recorded late", StringComparison.Ordinal));

        await AssertRecoversAsync(healthy, Key);
        AssertNotLogged("may have run twice", cutOff);
    }
}
