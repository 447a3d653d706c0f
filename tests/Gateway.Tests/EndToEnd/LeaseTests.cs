using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>A lease lasts as long as its owner works, and when it ends nothing is sent again.</summary>
public abstract class LeaseTests(SharedGateways gateways)
{
    /// <summary>Between two looks at a key whose lease is running.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    private readonly string _path = EmbeddedGateway.NewPath("/brief");
    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task ABackendSlowerThanTheLease_StaysInProgress_BecauseTheLeaseIsRenewed()
    {
        using var held = gateways.Backend.Hold();
        var running = gateways.PostAsync(gateways.Gateways[0], _path, _key);
        await gateways.Backend.Ledger.WaitForAsync(arrival => arrival.Key == _key);

        var started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < 2.5 * SharedGateways.BriefLease)
        {
            foreach (var gateway in gateways.Gateways)
            {
                Expect.InProgress(await gateways.PostAsync(gateway, _path, _key));
            }

            await Task.Delay(Pause);
        }

        held.Release();
        var first = await running;

        Assert.Single(gateways.Backend.ArrivalsFor(_key));
        Assert.Equal(201, first.Status);
        foreach (var gateway in gateways.Gateways)
        {
            Expect.Replay(first, await gateways.PostAsync(gateway, _path, _key));
        }

        Assert.Single(gateways.Backend.ArrivalsFor(_key));
    }

    [StoreFact]
    public async Task AGatewayKilledWhileTheBackendWorks_LeavesTheKeyInProgress_AndThenUncertain()
    {
        await using var owner = await gateways.StartGatewayAsync();
        using var held = gateways.Backend.Hold();
        var running = gateways.PostAsync(owner, _path, _key);
        await gateways.Backend.Ledger.WaitForAsync(arrival => arrival.Key == _key);
        await owner.KillAsync();
        await Assert.ThrowsAsync<HttpRequestException>(() => running);

        Expect.InProgress(await gateways.PostAsync(gateways.Gateways[0], _path, _key));
        await UntilUncertainAsync();
        held.Release();

        foreach (var gateway in gateways.Gateways)
        {
            Expect.Uncertain(await gateways.PostAsync(gateway, _path, _key));
        }

        Assert.Single(gateways.Backend.ArrivalsFor(_key));
    }

    [StoreFact]
    public async Task AGatewayThatSleptThroughItsLease_StillRecordsTheAnswer_WhenItWakes()
    {
        await using var owner = await gateways.StartGatewayAsync();
        using var held = gateways.Backend.Hold();
        var running = gateways.PostAsync(owner, _path, _key);
        await gateways.Backend.Ledger.WaitForAsync(arrival => arrival.Key == _key);
        await owner.PauseAsync();

        await UntilUncertainAsync();
        held.Release();
        await owner.ResumeAsync();
        var first = await running;

        Assert.Single(gateways.Backend.ArrivalsFor(_key));
        Assert.Equal((201, null), (first.Status, first.Header("Idempotency-Status")));
        Expect.Replay(first, await gateways.PostAsync(gateways.Gateways[0], _path, _key));
        Assert.Single(gateways.Backend.ArrivalsFor(_key));
    }

    /// <summary>In progress, over and over, until the lease is over; never anything else.</summary>
    private async Task UntilUncertainAsync()
    {
        var started = TimeProvider.System.GetTimestamp();
        var duplicate = await gateways.PostAsync(gateways.Gateways[1], _path, _key);
        while (duplicate.ProblemType != "outcome-uncertain")
        {
            Expect.InProgress(duplicate);
            Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, 2 * SharedGateways.BriefLease);
            await Task.Delay(Pause);
            duplicate = await gateways.PostAsync(gateways.Gateways[1], _path, _key);
        }

        Expect.Uncertain(duplicate);
    }
}

[OnRedis]
public sealed class RedisLeaseTests(RedisGateways gateways) : LeaseTests(gateways), IClassFixture<RedisGateways>;

[OnPostgres]
public sealed class PostgresLeaseTests(PostgresGateways gateways) : LeaseTests(gateways), IClassFixture<PostgresGateways>;
