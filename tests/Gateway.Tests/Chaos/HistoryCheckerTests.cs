using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Chaos;

/// <summary>The checker sees what it is there to see: each history breaks the promise in one way.</summary>
public sealed class HistoryCheckerTests
{
    private const int HealedAt = 100;
    private readonly List<Execution> _ledger = [];
    private Operation _operation = new("key", "alice");
    private double _second;
    private double _step = 1;

    [Fact]
    public void Harmless_ATryThatWasLost_AndReplays()
    {
        Lost();
        var execution = Executed();
        Refused(409, "in-progress");
        Answered(execution, isReplay: true);
        Refused(422, "key-reused", isChanged: true);
        Finally(() => Answered(execution, isReplay: true));

        Assert.Empty(Check());
    }

    [Fact]
    public void Harmless_RefusedByTheBackend_ThenExecuted()
    {
        Answered(() => Executed(ExecutionKind.Refused), status: "released");
        Finally(() => Answered(() => Executed()));

        Assert.Empty(Check());
    }

    [Fact]
    public void Harmless_AClaimOfTheFinalTries_ThatTheStoreDidNotAnswerInTime()
    {
        Finally(() =>
        {
            Refused(503, "store-unavailable");
            Refused(409, "in-progress");
            Answered(() => Executed());
        });

        Assert.Empty(Check());
    }

    [Fact]
    public void ExecutedTwice_IsSeen()
    {
        Executed();
        Lost();
        Answered(() => Executed());
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains("executed more than once", Check());
    }

    [Fact]
    public void ExecutedUnasked_IsSeen()
    {
        Lost();
        Executed(ExecutionKind.Refused);
        Executed(ExecutionKind.Refused);
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("2 arrivals at the backend for 1 requests", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(409, "in-progress")]
    [InlineData(422, "key-reused")]
    [InlineData(503, "store-unavailable")]
    [InlineData(502, "backend-unreachable")]
    public void ExecutedAlthoughTheClientWasToldThatItWasNot_IsSeen(int status, string problem)
    {
        Refused(status, problem);
        Executed();
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("1 arrivals at the backend for 0 requests", StringComparison.Ordinal));
    }

    [Fact]
    public void ExecutedBeforeItWasAsked_IsSeen()
    {
        Executed(ExecutionKind.Refused);
        Lost();
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("1 arrivals at the backend for 0 requests", StringComparison.Ordinal));
    }

    [Fact]
    public void ExecutedAfterTheEndOfTheKey_IsSeen()
    {
        Refused(502, "outcome-uncertain");
        Answered(() => Executed(ExecutionKind.Refused), status: "released");
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("executed after the key had come to its end", StringComparison.Ordinal));
    }

    [Fact]
    public void AnswerNotKept_AndThenForgotten_IsSeen()
    {
        Answered(() => Executed(ExecutionKind.NotKept), status: "answer-not-kept");
        Refused(409, "answer-not-kept");
        Finally(() => Refused(409, "outcome-uncertain"));

        Assert.Contains(Check(), wrong => wrong.StartsWith("it was on record that the answer is not kept, but", StringComparison.Ordinal));
    }

    [Fact]
    public void FreeKey_ThatIsNotFree_IsSeen()
    {
        _step = 0.05;
        Answered(() => Executed(ExecutionKind.Refused), status: "released");
        Refused(409, "in-progress");
        Finally(() => Answered(() => Executed()));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the key was free, but", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("in-progress")]
    [InlineData("outcome-uncertain")]
    public void WordWithoutACause_IsSeen(string problem)
    {
        Answered(() => Executed());
        Refused(409, problem);
        Finally(() => Answered(_ledger[0], isReplay: true));

        Assert.Contains(Check(), wrong => wrong.StartsWith("no request can be the cause", StringComparison.Ordinal));
    }

    [Fact]
    public void OldAnswerWithoutItsMark_IsSeen()
    {
        Lost();
        var execution = Executed();
        Finally(() => Answered(execution));

        Assert.Contains(Check(), wrong => wrong.StartsWith("an old answer without the mark of a replay", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(ExecutionKind.Created, "released")]
    [InlineData(ExecutionKind.Refused, null)]
    [InlineData(ExecutionKind.NotKept, null)]
    internal void FalseStatus_IsSeen(ExecutionKind kind, string? status)
    {
        Finally(() => Answered(() => Executed(kind), status: status));

        Assert.Contains(Check(), wrong => wrong.StartsWith("expected the status", StringComparison.Ordinal));
    }

    [Fact]
    public void BriefKey_MayBeExecutedAgain_WhenItsRetentionIsOver()
    {
        _operation = new Operation("key", "alice", IsBrief: true);
        Answered(() => Executed());
        _second += Operation.BriefRetention.TotalSeconds;
        Answered(() => Executed());
        Finally(() => Answered(() => Executed()));

        Assert.Empty(Check());
    }

    [Fact]
    public void BriefKey_WhoseEarlierAnswerComesBack_IsSeen()
    {
        _operation = new Operation("key", "alice", IsBrief: true);
        Lost();
        var earlier = Executed();
        _step = 0.1;
        Answered(() => Executed());
        Answered(earlier, isReplay: true);
        Finally(() => Answered(() => Executed()));

        Assert.Contains(Check(), wrong => wrong.StartsWith("the answer was recorded, but", StringComparison.Ordinal));
    }

    [Fact]
    public void ExecutedAgainAtTheEnd_IsSeen()
    {
        Executed();
        Lost();
        Finally(() => Answered(() => Executed()));

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
        Refused(502, "outcome-uncertain");
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
        Finally(() => Answered(() => Executed()));

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
        Answered(() => Executed());
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

    [Fact]
    public void Harmless_AnAnswerThatMayBeLost_IsLost_AndGivenByWhoRemembersIt()
    {
        Answered(() => Executed());
        Gone();
        Answered(_ledger[0], isReplay: true);
        Finally(Gone);

        Assert.Empty(Check(losesFrom: 5));
    }

    [Theory]
    [InlineData(null)]
    [InlineData(100)]
    public void AnAnswerThatMayNotBeLost_AndIs_IsSeen(int? losesFrom)
    {
        Answered(() => Executed());
        Finally(Gone);

        Assert.Contains(Check(losesFrom), wrong => wrong.StartsWith("an answer that cannot have been lost", StringComparison.Ordinal));
    }

    [Fact]
    public void ExecutedAgain_AfterItsAnswerWasLost_IsSeen()
    {
        Answered(() => Executed());
        Gone();
        Finally(() => Answered(() => Executed()));

        Assert.Contains("executed more than once", Check(losesFrom: 5));
    }

    private IReadOnlyList<string> Check(int? losesFrom = null) => new HistoryChecker(_ledger, TimeSpan.FromSeconds(HealedAt), losesFrom).Check(_operation);

    private void Gone() => Add(
        Next(),
        new Answer(409, [new("Content-Type", "application/problem+json")], """{"type":"/p#answer-not-kept","original":{"status":201,"reason":"Gone"}}"""u8.ToArray()),
        isChanged: false);

    /// <summary>Now: between the attempts that are written down before and after.</summary>
    private Execution Executed(ExecutionKind kind = ExecutionKind.Created, string scope = "alice", bool isChanged = false)
    {
        var id = _ledger.Count + 1;
        var execution = new Execution(
            id, "key", scope, _operation.Body(isChanged), kind, Encoding.UTF8.GetBytes($"answer {id}"), Next());
        _ledger.Add(execution);
        return execution;
    }

    private void Lost() => Add(Next(), null, isChanged: false);

    private void Refused(int status, string problem, bool isChanged = false) => Add(
        Next(),
        new Answer(status, [new("Content-Type", "application/problem+json")], Encoding.UTF8.GetBytes($$"""{"type":"/p#{{problem}}"}""")),
        isChanged);

    /// <summary>An attempt, and its own execution.</summary>
    private void Answered(Func<Execution> execute, string? status = null)
    {
        var sent = Next();
        Add(sent, Answer(execute(), isReplay: false, status), isChanged: false);
    }

    /// <summary>An attempt, after the execution.</summary>
    private void Answered(Execution execution, bool isReplay = false, bool isChanged = false, string location = "/here") =>
        Add(Next(), Answer(execution, isReplay, status: null, location), isChanged);

    private static Answer Answer(Execution execution, bool isReplay, string? status, string location = "/here") => new(
        execution.Status,
        [
            new(Attempt.ExecutionHeader, $"{execution.Id}"), new("Location", location), new("Idempotent-Replayed", isReplay ? "true" : "false"),
            .. status is null ? [] : new KeyValuePair<string, string>[] { new("Idempotency-Status", status) },
        ],
        execution.Answer);

    private void Finally(Action answer)
    {
        _second = HealedAt;
        answer();
        _operation.Final = _operation.Attempts.Last();
    }

    private void Add(TimeSpan sent, Answer? answer, bool isChanged) => _operation.Attempts.Enqueue(
        new Attempt("g1", isChanged, sent, Next(), answer, answer is null ? "hung up" : null));

    private TimeSpan Next() => TimeSpan.FromSeconds(_second += _step);
}
