using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The process is killed around the write of a body that is kept apart, and started again on the same file.</summary>
public sealed class AnswersApartCrashTests(RedisServer answers) : IClassFixture<RedisServer>
{
    private const int Padding = 100_000;

    [RedisTheory]
    [InlineData("P5", CrashPoint.Uncertain)]
    [InlineData("P5B", CrashPoint.Uncertain)] // the body is acknowledged, its record not sent
    [InlineData("P7", CrashPoint.Replay)]
    public async Task AGatewayKilledAroundTheBody_NeverSendsTwice_AndSaysWhatIsKnown(string point, string outcome)
    {
        var directory = Directory.CreateTempSubdirectory("gateway-crash-");
        try
        {
            var store = new
            {
                Kind = "Embedded",
                Embedded = new { Path = Path.Combine(directory.FullName, "idempotency.db") },
                Answers = new { Kind = "Redis", Redis = new { Configuration = answers.Configuration, KeyPrefix = $"{point}:" } },
            };
            await using var scenario = new CrashScenario(store, padding: Padding);
            await scenario.StartAsync();

            var lost = await scenario.CrashAsync(point);
            await using var restarted = await GatewayProcess.StartAsync(scenario.Config);

            Assert.Null(lost);
            await scenario.AssertRecoveredAsync(new CrashPoint(point, "", 1, 1, outcome), restarted.Url);
            Assert.Equal(point == "P5" ? 0 : 1, (await answers.CommandAsync("KEYS", $"{point}:answer:*")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
