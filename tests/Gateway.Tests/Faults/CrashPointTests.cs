using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>The process is killed at each point of a request's way, and started again on the same file.</summary>
public sealed class CrashPointTests
{
    public static TheoryData<string> Points => [.. CrashPoint.All.Keys];

    [Theory]
    [MemberData(nameof(Points))]
    public Task AGatewayKilledAtAPoint_NeverSendsTwice_AndSaysWhatIsKnown_AfterItsRestart(string point) => CrashAndRestartAsync(point, HttpMethod.Post, "{}");

    [Theory]
    [InlineData("P3", "POST", "")]
    [InlineData("P3", "PUT", "{}")]
    [InlineData("P3", "PATCH", "{}")]
    [InlineData("P3", "DELETE", "")]
    [InlineData("P5", "DELETE", "")]
    [InlineData("P7", "DELETE", "{}")]
    public Task OtherMethods_AndNoBody_MakeNoDifference(string point, string method, string body) => CrashAndRestartAsync(point, HttpMethod.Parse(method), body);

    internal static object EmbeddedIn(DirectoryInfo directory) =>
        new { Kind = "Embedded", Embedded = new { Path = Path.Combine(directory.FullName, "idempotency.db") } };

    private static async Task CrashAndRestartAsync(string point, HttpMethod method, string body)
    {
        var directory = Directory.CreateTempSubdirectory("gateway-crash-");
        try
        {
            await using var scenario = new CrashScenario(EmbeddedIn(directory), method, body);
            await scenario.StartAsync();

            var lost = await scenario.CrashAsync(point);
            await using var restarted = await GatewayProcess.StartAsync(scenario.Config);

            Assert.Null(lost);
            await scenario.AssertRecoveredAsync(CrashPoint.All[point], restarted.Url);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
