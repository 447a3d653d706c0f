using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The process is killed at each point of a request's way, and another one on the same Redis gets the retries.</summary>
public sealed class RedisCrashPointTests(RedisServer redis) : IClassFixture<RedisServer>
{
    public static TheoryData<string> Points => [.. CrashPoint.All.Keys];

    [RedisTheory]
    [MemberData(nameof(Points))]
    public async Task AGatewayKilledAtAPoint_NeverSendsTwice_AndSaysWhatIsKnown_AtItsNeighbour(string point)
    {
        await using var scenario = new CrashScenario(GatewayConfig.Redis(redis.Configuration));
        await scenario.StartAsync();
        await using var neighbour = await GatewayProcess.StartAsync(scenario.Config);

        var lost = await scenario.CrashAsync(point);

        Assert.Null(lost);
        if (point is "P2" or "P3" or "P4" or "P5")
        {
            Expect.InProgress(await scenario.SendAsync(neighbour.Url));
        }

        await scenario.AssertRecoveredAsync(CrashPoint.All[point], neighbour.Url);
    }
}
