using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A master, its replica, and an address that moves from one to the other, as a virtual address or a name does. Replication is
/// interrupted where the promoted replica is to lack the last writes.
/// </summary>
public sealed class StoreFailoverTests : StoreFaults
{
    private RedisServer? _master;
    private RedisServer? _replica;
    private TcpProxy? _replication;
    private TcpProxy? _address;

    private RedisServer Master => _master!;

    private RedisServer Replica => _replica!;

    private TcpProxy Replication => _replication!;

    private TcpProxy Address => _address!;

    public override async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            await base.InitializeAsync();
            _master = await RedisServer.StartOwnAsync("--repl-diskless-sync-delay", "0");
            _replication = TcpProxy.Start(_master.Configuration);
            _address = TcpProxy.Start(_master.Configuration);
            _replica = await RedisServer.StartOwnAsync(["--replicaof", .. _replication.Endpoint.Split(':')]);
            await WaitForReplicationAsync(_replica, "master_link_status:up");
        }
    }

    public override async Task DisposeAsync()
    {
        await (_replica?.DisposeAsync() ?? default);
        await (_address?.DisposeAsync() ?? default);
        await (_replication?.DisposeAsync() ?? default);
        await (_master?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimThatWasNotReplicated_IsPutBackByItsOwner_BeforeAnybodyClaims()
    {
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        Replication.BlackHole();
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await Master.StopAsync();
        await PromoteAsync();
        await Eventually.TrueAsync(async () => (await PostAsync(neighbour, Key)).ProblemType != "store-unavailable", "the store serves");
        var meanwhile = await PostAsync(neighbour, Key);
        held.Release();
        var first = await running;

        await AssertReplayedAsync(first, neighbour, Key);
        Expect.InProgress(meanwhile);
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        AssertLogged(Alarm, owner);
        AssertLogged(PutBack, owner);
    }

    [RedisFact(ownServer: true)]
    public async Task AnAnswerThatWasNotReplicated_IsPutBack_AndReplayed()
    {
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        Replication.BlackHole();
        var first = await PostAsync(owner, Key);

        await Master.StopAsync();
        await PromoteAsync();

        await AssertReplayedAsync(first, neighbour, Key);
        AssertLogged(Alarm, owner);
        AssertLogged(PutBack, owner);
    }

    [RedisFact(ownServer: true)]
    public async Task AClaimThatIsLostTogetherWithItsOwner_IsTheDocumentedLoss_AndTheLogSaysThatItMayBe()
    {
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        Replication.BlackHole();
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        await Master.StopAsync();
        await PromoteAsync();
        held.Release();
        var again = await PostUntilServedAsync(neighbour, Key);

        Assert.Equal(2, Backend.ArrivalsFor(Key).Count);
        Assert.Equal((201, false), (again.Status, again.IsReplay));
        AssertLogged(Restarted, neighbour);
    }

    /// <summary>The loss of the test above, where claims count once a replica has them.</summary>
    [RedisFact(ownServer: true)]
    public async Task AClaimWhoseOwnerAndMasterDie_IsNotRunAgain_WhereAReplicaAcknowledged()
    {
        Replication.Delay = TimeSpan.FromMilliseconds(20);
        await using var owner = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint), Acknowledged);
        await using var neighbour = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint), Acknowledged);
        using var held = Backend.Hold();
        var running = PostAsync(owner, Key);
        await Backend.Ledger.WaitForAsync(arrival => arrival.Key == Key);

        await Master.StopAsync();
        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);
        await using var another = await RedisServer.StartOwnAsync(["--replicaof", .. Replica.Configuration.Split(':')]); // or nothing counts
        await PromoteAsync();
        held.Release();
        var again = await PostUntilKnownAsync(neighbour);

        Assert.Single(Backend.ArrivalsFor(Key));
        Assert.Equal(409, again.Status);
    }

    [RedisFact(ownServer: true)]
    public async Task AMasterThatIsCutOffFromItsReplica_RefusesToWrite_AndLosesNothing()
    {
        await Master.CommandAsync("CONFIG", "SET", "min-replicas-max-lag", "2", "min-replicas-to-write", "1");
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(Address.Endpoint));
        Replication.BlackHole();
        var executed = new Dictionary<string, Answer>();
        await Eventually.TrueAsync(() => IsRefusedAsync(gateway, executed), "the old master refuses");

        await AssertRefusedInTimeAsync(gateway, Key);
        await gateway.Output.WaitForAsync(line => line.Contains("NOREPLICAS, ", StringComparison.Ordinal));
        await PromoteAsync();

        await AssertRecoversAsync(gateway, Key);
        Assert.NotEmpty(executed);
        foreach (var (key, first) in executed)
        {
            // Not header by header: the last of them may have said that its answer was to be recorded later.
            var retry = await PostUntilServedAsync(gateway, key);
            Assert.Single(Backend.ArrivalsFor(key));
            Assert.Equal((true, first.Text), (retry.IsReplay, retry.Text));
        }
    }

    [RedisFact(ownServer: true)]
    public async Task AMasterThatWasDemoted_ExecutesNothing_AndTheNewOneIsFound()
    {
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis($"{Master.Configuration},{Replica.Configuration}"));
        var first = await PostAsync(gateway, Key);
        await WaitForReplicationAsync(Replica, "master_link_status:up");
        var newKey = EmbeddedGateway.NewKey();

        await Replica.CommandAsync("REPLICAOF", "NO", "ONE");
        await Master.CommandAsync(["REPLICAOF", .. Replica.Configuration.Split(':')]);
        await AssertRefusedInTimeAsync(gateway, newKey);

        await gateway.Output.WaitForAsync(line => line.Contains("READONLY, ", StringComparison.Ordinal));
        await AssertRecoversAsync(gateway, newKey);
        await AssertReplayedAsync(first, gateway, Key);
        AssertNotLogged(Alarm, gateway); // it had everything
        AssertLogged(Restarted, gateway);
    }

    private static Dictionary<string, string> Acknowledged => new() { ["Store__Redis__Acknowledge"] = "Replica" };

    /// <summary>The first answer that is not put off because the store is away.</summary>
    private async Task<Answer> PostUntilKnownAsync(GatewayProcess gateway)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PostAsync(gateway, Key)).ProblemType != "store-unavailable", "the store serves");
        return answer!;
    }

    private async Task PromoteAsync()
    {
        await Replica.CommandAsync("REPLICAOF", "NO", "ONE");
        Address.Retarget(Replica.Configuration);
    }

    /// <summary>New keys until one is refused: the master still takes some until it misses its replica.</summary>
    private async Task<bool> IsRefusedAsync(GatewayProcess gateway, Dictionary<string, Answer> executed)
    {
        var key = EmbeddedGateway.NewKey();
        var answer = await PostAsync(gateway, key);
        if (answer.Status == 201)
        {
            executed.Add(key, answer);
            return false;
        }

        Assert.Empty(Backend.ArrivalsFor(key));
        Expect.Problem(503, "store-unavailable", answer);
        return true;
    }

    private static Task WaitForReplicationAsync(RedisServer server, string line) => Eventually.TrueAsync(
        async () => (await server.CommandAsync("INFO", "replication")).Contains(line, StringComparison.Ordinal), line);
}
