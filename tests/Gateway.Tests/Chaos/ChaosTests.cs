using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Chaos;

/// <summary>The promise under faults that nobody planned. Short here; <c>./chaos.sh --minutes N --seed S</c> for as long as you like.</summary>
[Collection(LoadCollection.Name)]
public sealed class ChaosTests(ITestOutputHelper output)
{
    [RedisFact(ownServer: true)]
    public async Task RandomFaults_NeverExecuteARequestTwice_NorAnswerItWrongly()
    {
        var settings = ChaosSettings.FromEnvironment();
        await using var log = new ChaosLog(settings.LogFile, output);

        var report = await new ChaosRun(settings, log.Write).RunAsync();

        log.Write(report.ToString());
        Assert.True(report.Violations.Count == 0, report.ToString());
    }
}
