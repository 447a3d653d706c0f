using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Chaos;

/// <summary>Slowness is told apart from the faults that explain it.</summary>
public sealed class PromptnessTests
{
    private const int HealedAt = 100;

    [Theory]
    [InlineData("g1-store", true)] // which is what the refusal is about
    [InlineData("g2", true)]
    [InlineData("g1", false)]
    [InlineData(Promptness.Machine, false)]
    public void LateRefusal_IsSeen_UnlessTheGatewayItselfWasAway(string faulty, bool isSeen)
    {
        var wrong = Judge(faulty).Check([Refused(from: 10, to: 15)]);

        Assert.Equal(isSeen, wrong.Any(text => text.StartsWith("refused too late", StringComparison.Ordinal)));
    }

    [Fact]
    public void PromptRefusal_IsFine() => Assert.Empty(Judge("g1-store").Check([Refused(from: 10, to: 12)]));

    [Theory]
    [InlineData(50, false)]
    [InlineData(HealedAt + 1, true)]
    public void NoAnswer_IsSeen_WhenAllWasHealed(int from, bool isSeen)
    {
        var wrong = Judge("g1").Check([new Attempt("g1", IsChanged: false, Seconds(from), Seconds(from + 10), Answer: null, "hung up")]);

        Assert.Equal(isSeen, wrong.Any(text => text.StartsWith("no answer although nothing was wrong", StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("g1-store", true)]
    [InlineData("redis", true)]
    [InlineData("g1-backend", false)]
    [InlineData(Promptness.Machine, false)]
    [InlineData("g1", false)]
    public void RequestWithoutAKey_ThatTheStoresFaultHurts_IsSeen(string faulty, bool isSeen)
    {
        var wrong = Judge(faulty).Check([new Passage("g1", Seconds(10), Seconds(15), "503")]);

        Assert.Equal(isSeen, wrong.Any());
    }

    private static Promptness Judge(string faulty) => new(
        [new Injection(new Fault("fault", faulty, Seconds(4), () => Task.CompletedTask, () => Task.CompletedTask), Seconds(10), Seconds(14))],
        Seconds(HealedAt));

    private static Attempt Refused(int from, int to) => new(
        "g1",
        IsChanged: false,
        Seconds(from),
        Seconds(to),
        new Answer(503, [new("Content-Type", "application/problem+json")], Encoding.UTF8.GetBytes("""{"type":"/p#store-unavailable"}""")));

    private static TimeSpan Seconds(int seconds) => TimeSpan.FromSeconds(seconds);
}
