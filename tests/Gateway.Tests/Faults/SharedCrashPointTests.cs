using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The process is killed at each point of a request's way, and another one on the same store gets the retries.</summary>
public abstract class SharedCrashPointTests
{
    public static TheoryData<string> Points => [.. CrashPoint.All.Keys];

    /// <summary>The section <c>Store</c>.</summary>
    private protected abstract object StoreSection { get; }

    [StoreTheory]
    [MemberData(nameof(Points))]
    public async Task AGatewayKilledAtAPoint_NeverSendsTwice_AndSaysWhatIsKnown_AtItsNeighbour(string point)
    {
        await using var scenario = new CrashScenario(StoreSection);
        await scenario.StartAsync();
        await using var neighbour = await GatewayProcess.StartAsync(scenario.Config);
        await scenario.WarmUpAsync(neighbour.Url);

        var lost = await scenario.CrashAsync(point);

        Assert.Null(lost);
        if (point is "P2" or "P3" or "P4" or "P5")
        {
            Expect.InProgress(await scenario.SendAsync(neighbour.Url));
        }

        await scenario.AssertRecoveredAsync(CrashPoint.All[point], neighbour.Url);
    }
}

[OnRedis(ownServer: false)]
public sealed class RedisCrashPointTests(RedisServer redis) : SharedCrashPointTests, IClassFixture<RedisServer>
{
    private protected override object StoreSection => GatewayConfig.Redis(redis.Configuration);
}

[OnPostgres(ownServer: false)]
public sealed class PostgresCrashPointTests(PostgresServer postgres) : SharedCrashPointTests, IClassFixture<PostgresServer>
{
    private protected override object StoreSection => GatewayConfig.Postgres(postgres.ConnectionString);
}
