using System.Text;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Chaos;

/// <summary>What is printed about a violation is what one needs, and first of all no more than that.</summary>
public sealed class KeyHistoryTests
{
    [Fact]
    public void OnlyWhatShowsTheViolation_ComesFirst()
    {
        var operation = new Operation("key", "alice");
        var execution = new Execution(1, "key", "alice", operation.Body(isChanged: false), ExecutionKind.Created, "answer"u8.ToArray(), Seconds(2));
        var recorded = new Answer(201, [new(Attempt.ExecutionHeader, "1")], "answer"u8.ToArray());
        Attempt[] attempts =
        [
            new("g1", IsChanged: false, Seconds(1), Seconds(3), recorded),
            new("g2", IsChanged: false, Seconds(1), Seconds(4), Answer: null, "hung up"),
            new("g3", IsChanged: false, Seconds(5), Seconds(6), Problem(503, "store-unavailable")),
            new("g4", IsChanged: false, Seconds(7), Seconds(8), Problem(409, "outcome-uncertain")),
        ];
        Array.ForEach(attempts, operation.Attempts.Enqueue);
        operation.Final = attempts[3];
        var checker = new HistoryChecker([execution], healedAt: Seconds(100));
        var injection = new Injection(new Fault("gateway-kill", "g9", Seconds(1), () => Task.CompletedTask, () => Task.CompletedTask), Seconds(1), Seconds(2));
        var later = injection with { Begin = Seconds(50), End = Seconds(51) };
        var history = new KeyHistory(checker, [injection, later], [("g1", ["abcd1234 chaos: noted", "00000000 chaos: another"])]);

        var wrong = checker.Check(operation);
        var text = history.Write(operation, "abcd1234", wrong);

        var (least, all) = (text.Split("The least that shows the first:\n")[1].Split("All of it:\n")[0], text.Split("All of it:\n")[1]);
        Assert.Equal(
            """
                 2.000  backend execution 1, Created, request {"key":"key","scope":"alice","amount":1}
                 3.000  ok      g1: 201 of execution 1 (sent 1.000)
                 8.000  fail    g4: 409 outcome-uncertain (sent 7.000)

            """,
            least);
        Assert.Contains("unknown g2: hung up", all, StringComparison.Ordinal);
        Assert.Equal(1, all.Split("begins: gateway-kill g9").Length - 1);
        Assert.EndsWith("The gateways' logs of it:\n  g1: abcd1234 chaos: noted", text, StringComparison.Ordinal);
        Assert.Equal(Seconds(8), history.SeenAt(operation, wrong));
    }

    private static Answer Problem(int status, string problem) =>
        new(status, [new("Content-Type", "application/problem+json")], Encoding.UTF8.GetBytes($$"""{"type":"/p#{{problem}}"}"""));

    private static TimeSpan Seconds(int seconds) => TimeSpan.FromSeconds(seconds);
}
