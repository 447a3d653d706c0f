using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Chaos;

/// <summary>What an honest backend must not have been made to do is seen, with the fault at that time, and nothing else is.</summary>
public sealed class HonestCheckerTests
{
    [Theory]
    [InlineData("/honest/a 1", "")]
    [InlineData("/honest/a 1, /honest/a 2", "executed 2 times")]
    [InlineData("/honest/a 1, /honest/b 1", "")]
    [InlineData("/retried/a 1, /retried/a 2", "")]
    [InlineData("/retried/a 2, /retried/a 4", "")] // what was not sent has a number too
    [InlineData("/retried/a 2, /retried/a 1", "attempt 1 after attempt 2")]
    [InlineData("/retried/a 2, /retried/a 2", "attempt 2 after attempt 2")]
    [InlineData("/alone/1 1, /alone/1 1", "")]
    [InlineData("/alone/1 1, /alone/1 1 overlaps", "both at once")]
    public void WhatMustNotHaveBeenDone_IsSeen(string history, string expected)
    {
        var wrong = new HonestChecker([]).Check([.. history.Split(", ").Select(Execution)]);

        Assert.Equal(expected.Length == 0 ? 0 : 1, wrong.Count);
        Assert.All(wrong, only => Assert.StartsWith(expected, only.Wrong));
    }

    [Theory]
    [InlineData(1, true)]
    [InlineData(30, false)]
    public void FaultsAtThatTime_AreNamed(int end, bool isNamed)
    {
        var pause = new Fault("gateway-pause", "g1", TimeSpan.FromSeconds(1), () => Task.CompletedTask, () => Task.CompletedTask);
        var injection = new Injection(pause, TimeSpan.FromSeconds(end - 1), TimeSpan.FromSeconds(end));

        var (at, wrong) = Assert.Single(new HonestChecker([injection]).Check([Execution("/honest/a 1", 0), Execution("/honest/a 1", 1)]));

        Assert.Equal(TimeSpan.FromSeconds(1), at);
        Assert.Equal(isNamed, wrong.Contains("gateway-pause g1", StringComparison.Ordinal));
    }

    /// <param name="text">Path, attempt, and whether it overlaps.</param>
    /// <param name="second">When.</param>
    private static HonestExecution Execution(string text, int second)
    {
        var words = text.Split(' ');
        return new HonestExecution(words[0], "key", int.Parse(words[1]), "g1", TimeSpan.FromSeconds(second), words.Length > 2);
    }
}
