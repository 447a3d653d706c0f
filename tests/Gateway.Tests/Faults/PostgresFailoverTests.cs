using Gateway.Tests.EndToEnd;
using Gateway.Tests.Storage;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>A primary and its synchronous standby. What gateways were told is on both, so that a failover loses nothing.</summary>
public sealed class PostgresFailoverTests : StoreFaults
{
    /// <summary>The log event: another server is the primary now.</summary>
    private const string AnotherPrimary = "[2009]";

    private PostgresProcess? _primary;
    private PostgresProcess? _standby;

    private PostgresProcess Primary => _primary!;

    private PostgresProcess Standby => _standby!;

    /// <summary>The section <c>Store</c> that names both servers.</summary>
    private object Both => GatewayConfig.Postgres($"Host={Primary.Endpoint},{Standby.Endpoint};Username=postgres;Database=postgres");

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        _primary = PostgresProcess.WithSynchronousStandby();
        await Primary.StartAsync();
        _standby = PostgresProcess.StandbyOf(Primary);
        await Standby.StartAsync();
        await Eventually.TrueAsync(
            async () => await Primary.QueryAsync("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") is 1L, "the standby follows");
    }

    public override async Task DisposeAsync()
    {
        await (_standby?.DisposeAsync() ?? default);
        await (_primary?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [PostgresFact(ownServer: true)]
    public async Task WhenThePrimaryDies_NoClaimAndNoAnswerIsLost_AndTheStandbyServes()
    {
        await using var owner = await StartConnectedGatewayAsync(Both);
        await using var neighbour = await StartConnectedGatewayAsync(Both);
        var recordedKey = EmbeddedGateway.NewKey();
        var recorded = await PostAsync(owner, recordedKey);
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await Primary.StopAsync();
        await AssertRefusedInTimeAsync(neighbour, EmbeddedGateway.NewKey());
        await Standby.PromoteAsync();
        Answer? meanwhile = null;
        await Eventually.TrueAsync(async () => (meanwhile = await PostAsync(neighbour, Key)).ProblemType != "store-unavailable", "the store serves");
        held.Release();
        var first = await running;

        Expect.InProgress(meanwhile!);
        await AssertReplayedAsync(first, neighbour, Key);
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        await AssertReplayedAsync(recorded, neighbour, recordedKey);
        await AssertRecoversAsync(owner, EmbeddedGateway.NewKey());
        AssertLogged(AnotherPrimary, owner, neighbour);
    }

    [PostgresFact(ownServer: true)]
    public async Task WhileTheStandbyIsAway_NothingIsPromised_AndNothingIsForwarded()
    {
        await using var gateway = await StartConnectedGatewayAsync(Both);
        var first = await PostAsync(gateway, Key);
        var newKey = EmbeddedGateway.NewKey();

        await Standby.StopAsync();
        await AssertRefusedInTimeAsync(gateway, newKey);
        await AssertNotRunAgainAsync(first, gateway, Key);
        await AssertUnkeyedWorksAsync(gateway);
        await Standby.StartAsync();

        await AssertRecoversAsync(gateway, newKey);
        await AssertReplayedAsync(first, gateway, Key);
        AssertNotLogged("may have run twice", gateway);
    }

    [PostgresFact(ownServer: true)]
    public async Task AStandbyAlone_IsNoStore()
    {
        await using var gateway = await StartGatewayAsync(GatewayConfig.Postgres(Standby.ConnectionString));

        await AssertRefusedInTimeAsync(gateway, Key);
        await using (var store = PostgresStores.Open(Standby.ConnectionString))
        {
            var refusal = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.PingAsync(default));
            Assert.Contains("standby", refusal.Message, StringComparison.Ordinal);
        }

        await Standby.PromoteAsync();

        await AssertRecoversAsync(gateway, Key);
    }
}
