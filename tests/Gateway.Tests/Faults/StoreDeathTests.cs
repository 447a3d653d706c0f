using System.Globalization;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The store dies at the worst moments, and comes back with its data.</summary>
public abstract class StoreDeathTests(FaultyStore store) : StoreFaults
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await store.StartAsync();
    }

    public override async Task DisposeAsync()
    {
        await store.DisposeAsync();
        await base.DisposeAsync();
    }

    /// <param name="held">What was under way: the claim, or already its reply.</param>
    [StoreTheory]
    [InlineData(TcpDirections.ToServer)]
    [InlineData(TcpDirections.ToClient)]
    public async Task AStoreKilledInTheMiddleOfAClaim_ForwardsNothing_AndBlocksNoKey(TcpDirections held)
    {
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));
        var refused = Task.CompletedTask;
        for (var (tries, isUnderWay) = (1, false); !isUnderWay; tries++)
        {
            Assert.InRange(tries, 1, 5);
            var recordsBefore = await store.CountRecordsAsync();
            link.BlackHole(held);
            refused = AssertRefusedInTimeAsync(gateway, Key);
            await link.Held.WaitForAsync(direction => direction == held);
            isUnderWay = held == TcpDirections.ToServer || await IsClaimedAsync(recordsBefore, refused);
            if (!isUnderWay)
            {
                // What was held was the reply to the sweep or the watch, and the claim never got a connection: from the beginning.
                await refused;
                link.Cut();
                link.Heal();
                await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());
            }
        }

        await store.StopAsync();
        await refused;
        link.Cut(); // what was under way is lost for good
        link.Heal();
        await store.StartAsync();

        await AssertRecoversAsync(gateway, Key);
        AssertNotLogged("may have run twice", gateway);
        AssertNotLogged(Alarm, gateway); // it has its data
    }

    /// <summary>Whether the store executes the claim before its request is given up.</summary>
    private async Task<bool> IsClaimedAsync(long recordsBefore, Task refused)
    {
        while (await store.CountRecordsAsync() == recordsBefore)
        {
            if (refused.IsCompleted)
            {
                return false;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }

        return true;
    }

    /// <summary>
    /// The store is away for much longer than a lease. Each client has its answer; when the store is back, so has it. For the full figures:
    /// <c>STORE_AWAY_SECONDS=60</c>.
    /// </summary>
    [StoreTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AStoreThatMissedTheEndOfRequests_GetsEveryAnswer_HoweverLongAfterTheLease(bool isBlackHole)
    {
        const int Requests = 300;
        var away = int.TryParse(Environment.GetEnvironmentVariable("STORE_AWAY_SECONDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) ? seconds : 6;
        await using var link = TcpProxy.Start(store.Endpoint);
        await using var gateway = await StartConnectedGatewayAsync(store.Section(link.Endpoint));
        using var held = Backend.Hold();
        var keys = Enumerable.Range(0, Requests).Select(_ => EmbeddedGateway.NewKey()).ToList();
        var running = keys.Select(key => PostUntilServedAsync(gateway, key, "/brief")).ToList(); // a shared machine may not claim them all in time
        await Eventually.TrueAsync(() => keys.TrueForAll(key => Backend.ArrivalsFor(key).Count == 1), "all are at the backend");

        await (isBlackHole ? Task.Run(() => link.BlackHole(TcpDirections.Both)) : store.StopAsync());
        held.Release();
        var answers = await Task.WhenAll(running);
        await Task.Delay(TimeSpan.FromSeconds(away));
        link.Heal();
        await (isBlackHole ? Task.CompletedTask : store.StartAsync());
        await AssertRecoversAsync(gateway, Key);
        await Task.Delay(BriefLease);

        Assert.All(answers, answer => Assert.Equal((201, "not-recorded"), (answer.Status, answer.Header("Idempotency-Status"))));
        var retries = await Task.WhenAll(keys.Select(key => PostUntilServedAsync(gateway, key, "/brief")));
        Assert.All(keys, key => Assert.Single(Backend.ArrivalsFor(key)));
        Assert.Equal([], retries.Where(retry => !retry.IsReplay).Select(retry => retry.ProblemType));
    }
}

[OnRedis]
public sealed class RedisDeathTests() : StoreDeathTests(FaultyRedis.Durable());

[OnPostgres]
public sealed class PostgresDeathTests() : StoreDeathTests(new FaultyPostgres());
