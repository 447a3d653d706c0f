using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Chaos;

/// <summary>The checker sees what it is there to see: each history breaks the promise in one way.</summary>
public sealed class HistoryCheckerTests
{
    private const int HealedAt = 100;
    private readonly Operation _operation = new("key", "alice");
    private readonly List<Execution> _ledger = [];
    private int _second;

    [Fact]
    public void Harmless_ATryThatWasLost_AndReplays()
    {
        var execution = Executed();
        Lost();
        Refused(409, "in-progress");
        Answered(execution, isReplay: true);
        Refused(422, "key-reused", isChanged: true);
        Finally(() => Answered(execution, isReplay: true));

        Assert.Empty(Check());
    }

    [Fact]
    public void Harmless_RefusedByTheBackend_ThenExecuted()
    {
        Answered(Executed(ExecutionKind.Refused));
        Finally(() => Answered(Executed()));

        Assert.Empty(Check());
    }

    [Fact]
    public void Harmless_AClaimOfTheFinalTries_ThatTheStoreDidNotAnswerInTime()
    {
        Finally(() =>
        {
            Refused(503, "store-unavailable");
            Refused(409, "in-progress");
            Answered(Executed());
        });

        Assert.Empty(Check());
    }

    [Fact]
    public void ExecutedTwice_IsSeen()
    {
        Executed();
        Lost();
        Answered(Executed());
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains("executed more than once", Check());
    }

    [Fact]
    public void ExecutedUnasked_IsSeen()
    {
        Executed(ExecutionKind.Refused);
        Executed(ExecutionKind.Refused);
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains("2 arrivals at the backend for 1 requests", Check());
    }

    [Fact]
    public void ExecutedAgainAtTheEnd_IsSeen()
    {
        Executed();
        Lost();
        Finally(() => Answered(Executed()));

        Assert.Contains(Check(), wrong => wrong.StartsWith("executed before, and again at the end", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerOfAnotherScope_IsSeen()
    {
        var foreign = Executed(scope: "bob");
        Finally(() => Answered(foreign, isReplay: true));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the answer of another key or scope", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerOfAnotherBody_IsSeen()
    {
        var execution = Executed();
        Answered(execution);
        Answered(execution, isReplay: true, isChanged: true);
        Finally(() => Answered(execution, isReplay: true));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the answer of another body", StringComparison.Ordinal));
        Assert.Contains(Check(), wrong => wrong.StartsWith("the key belonged to another body", StringComparison.Ordinal));
    }

    [Fact]
    public void ExecutionOfAnotherBody_IsSeen()
    {
        Refused(409, "outcome-uncertain");
        Executed(ExecutionKind.Refused, isChanged: true);
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the key belonged to another body: backend", StringComparison.Ordinal));
    }

    [Fact]
    public void RefusedBody_ThatIsTheOnlyOne_IsSeen()
    {
        Refused(422, "key-reused");
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("no other body was sent", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerWithOtherBytes_IsSeen()
    {
        var execution = Executed();
        Answered(execution with { Answer = "torn"u8.ToArray() });
        Finally(() => Answered(execution, isReplay: true));

        Assert.Contains(Check(), wrong => wrong.StartsWith("not what the backend answered", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerOfTheGatewaysOwn_ThatItDoesNotHave_IsSeen()
    {
        Refused(500, "internal");
        Finally(() => Answered(Executed()));

        Assert.Contains(Check(), wrong => wrong.StartsWith("an answer from nowhere", StringComparison.Ordinal));
    }

    [Fact]
    public void ReplayWithoutItsMark_IsSeen()
    {
        var execution = Executed();
        Answered(execution);
        Finally(() => Answered(execution));

        Assert.Contains($"the answer of execution {execution.Id} was given twice without the mark of a replay", Check());
    }

    [Fact]
    public void ReplayWithAnotherHeader_IsSeen()
    {
        var execution = Executed();
        Answered(execution);
        Finally(() => Answered(execution, isReplay: true, location: "/elsewhere"));

        Assert.Contains($"replays of execution {execution.Id} differ in their header fields", Check());
    }

    [Theory]
    [InlineData(ExecutionKind.Refused)]
    [InlineData(ExecutionKind.NotKept)]
    [InlineData(ExecutionKind.HalfBody)]
    internal void ReplayOfWhatMustNotBeKept_IsSeen(ExecutionKind kind)
    {
        var execution = Executed(kind);
        Finally(() => Answered(execution, isReplay: true));

        Assert.Contains(Check(), wrong => wrong.StartsWith("a replay of what must not be kept", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerSeen_AndThenForgotten_IsSeen()
    {
        Answered(Executed());
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the answer was recorded, but", StringComparison.Ordinal));
    }

    [Fact]
    public void KeyThatNeverEnds_IsSeen()
    {
        Lost();
        _second = HealedAt + 1;
        Refused(409, "in-progress");

        Assert.Contains("no final answer after everything was healed", Check());
        Assert.Contains(Check(), wrong => wrong.StartsWith("still in progress", StringComparison.Ordinal));
    }

    private IReadOnlyList<string> Check() => new HistoryChecker(_ledger, TimeSpan.FromSeconds(HealedAt)).Check(_operation);

    private Execution Executed(ExecutionKind kind = ExecutionKind.Created, string scope = "alice", bool isChanged = false)
    {
        var id = _ledger.Count + 1;
        var execution = new Execution(
            id, "key", scope, _operation.Body(isChanged), kind, Encoding.UTF8.GetBytes($"answer {id}"), TimeSpan.FromSeconds(++_second));
        _ledger.Add(execution);
        return execution;
    }

    private void Lost() => Add(null, isChanged: false);

    private void Refused(int status, string problem, bool isChanged = false) => Add(
        new Answer(status, [new("Content-Type", "application/problem+json")], Encoding.UTF8.GetBytes($$"""{"type":"/p#{{problem}}"}""")),
        isChanged);

    private void Answered(Execution execution, bool isReplay = false, bool isChanged = false, string location = "/here") => Add(
        new Answer(
            execution.Status,
            [new(Attempt.ExecutionHeader, $"{execution.Id}"), new("Location", location), new("Idempotent-Replayed", isReplay ? "true" : "false")],
            execution.Answer),
        isChanged);

    private void Finally(Action answer)
    {
        _second = HealedAt;
        answer();
        _operation.Final = _operation.Attempts.Last();
    }

    private void Add(Answer? answer, bool isChanged)
    {
        var sent = TimeSpan.FromSeconds(++_second);
        _operation.Attempts.Enqueue(new Attempt("g1", isChanged, sent, TimeSpan.FromSeconds(++_second), answer, answer is null ? "hung up" : null));
    }
}
