using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Chaos;

/// <summary>
/// The promise under faults that nobody planned. Short here; <c>./chaos.sh --minutes N --seed S</c> for as long as you like. A fresh seed
/// is printed with the first line.
/// </summary>
[Collection(LoadCollection.Name)]
public sealed class ChaosTests(ITestOutputHelper output)
{
    /// <summary>Store, seed (null for a fresh one), and for how many seconds. The fixed seeds are such that bring many kinds of faults soon.</summary>
    public static TheoryData<string, ulong?, int> Runs => ChaosSettings.IsOneAskedFor
        ? new() { { ChaosSettings.FromEnvironment("redis", null, 20).Store, null, 20 } }
        : new()
        {
            { "redis", 25, 12 },
            { "redis", 18, 12 },
            { "cluster", 24, 14 },
            { "embedded", 25, 8 },
            { "redis", null, 14 },
        };

    [RedisTheory(ownServer: true)]
    [MemberData(nameof(Runs))]
    public Task RandomFaults_NeverExecuteARequestTwice_NorAnswerItWrongly(string store, ulong? seed, int seconds) => RunAsync(store, seed, seconds);

    [PostgresFact(ownServer: true)]
    public Task OverPostgres_RandomFaults_NeverExecuteARequestTwice_NorAnswerItWrongly() => RunAsync("postgres", 25, 12);

    /// <summary>Large answers are kept where they may be lost at any time.</summary>
    [RedisTheory(ownServer: true)]
    [InlineData("redis", 25UL, 12)]
    [InlineData("embedded", 25UL, 8)]
    public Task WithAnswersApart_AServerThatDies_CostsAnswers_AndNoSecondExecution(string store, ulong? seed, int seconds) => RunAsync(store, seed, seconds, answersApart: true);

    private async Task RunAsync(string store, ulong? seed, int seconds, bool answersApart = false)
    {
        var settings = ChaosSettings.FromEnvironment(store, seed, seconds, answersApart);
        await using var log = new ChaosLog(settings.LogFile, output);

        var report = await new ChaosRun(settings, log.Write).RunAsync();

        log.Write(report.ToString());
        Assert.True(report.Violations.Count == 0, report.ToString());
    }
}
