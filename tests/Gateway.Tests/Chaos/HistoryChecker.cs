using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Holds what clients saw of one operation against what the backend did. Pure, so that it can itself be tested: a checker that finds
/// nothing is worth nothing until it was seen to find something.
/// </summary>
/// <param name="ledger">All of the backend's executions, whoever asked for them.</param>
/// <param name="healedAt">When the last fault had been healed and the last lease was over.</param>
/// <param name="losesFrom">Answers of this length and more may be lost, and then, by an instance that remembers them, be given after all; null when none may.</param>
internal sealed class HistoryChecker(IReadOnlyCollection<Execution> ledger, TimeSpan healedAt, int? losesFrom = null)
{
    private static readonly string[] OwnWords =
        ["in-progress", "outcome-uncertain", "answer-not-kept", "store-unavailable", "shutting-down", "backend-unreachable", "key-reused"];

    private readonly Dictionary<int, Execution> _byId = ledger.ToDictionary(execution => execution.Id);
    private readonly ILookup<(string, string), Execution> _byKey = ledger.ToLookup(execution => (execution.Scope, execution.Key));

    /// <summary>What is wrong, in words; nothing when all is well.</summary>
    public IReadOnlyList<string> Check(Operation operation)
    {
        Execution[] executions = [.. ExecutionsOf(operation).OrderBy(execution => execution.At)];
        Attempt[] attempts = [.. operation.Attempts];
        IEnumerable<string> always =
        [
            .. Asked(operation, executions, attempts),
            .. attempts.SelectMany(attempt => Origin(operation, attempt)),
            .. attempts.SelectMany(Marks),
            .. Lost(executions, attempts),
            .. Waiting(attempts),
            .. Replays(attempts),
            .. Lasting(operation, attempts),
            .. Freed(attempts),
            .. Causes(attempts),
        ];

        // With a retention that ends during the run, the same key is several requests, one after the other.
        return operation.IsBrief
            ? [.. always, .. Ending(operation)]
            : [.. Once(executions), .. always, .. Final(executions, attempts), .. Owner(operation, executions, attempts), .. Ending(operation), .. EndAgain(operation, executions)];
    }

    public IEnumerable<Execution> ExecutionsOf(Operation operation) => _byKey[(operation.Scope, operation.Key)];

    /// <summary>Invariant 1: at most one execution that counts.</summary>
    private static IEnumerable<string> Once(Execution[] executions)
    {
        if (executions.Count(execution => execution.Counts) > 1)
        {
            yield return "executed more than once";
        }
    }

    /// <summary>
    /// Invariants 2, 13 and 17: every arrival has a request of its own, sent before it, of which no client was told that it was not executed.
    /// </summary>
    private static IEnumerable<string> Asked(Operation operation, Execution[] executions, Attempt[] attempts)
    {
        foreach (var isChanged in (bool[])[false, true])
        {
            var arrivals = 0;
            foreach (var execution in executions.Where(execution => execution.RequestBody == operation.Body(isChanged)))
            {
                var requests = attempts.Count(attempt => attempt.IsChanged == isChanged && attempt.MayHaveExecuted && attempt.Sent <= execution.At);
                if (++arrivals > requests)
                {
                    yield return $"{arrivals} arrivals at the backend for {requests} requests: {execution}";
                }
            }
        }
    }

    /// <summary>Invariants 8, 10 and 11: every answer is that of an execution of this very request, or one of the gateway's own words.</summary>
    private IEnumerable<string> Origin(Operation operation, Attempt attempt)
    {
        if (attempt.Answer is not { } answer)
        {
            yield break;
        }

        if (attempt.ExecutionId is not { } id)
        {
            if (!OwnWords.Contains(attempt.Problem))
            {
                yield return $"an answer from nowhere: {attempt}";
            }
        }
        else if (!_byId.TryGetValue(id, out var execution) || !execution.IsOf(operation))
        {
            yield return $"the answer of another key or scope: {attempt}";
        }
        else if (execution.RequestBody != operation.Body(attempt.IsChanged))
        {
            yield return $"the answer of another body: {attempt}";
        }
        else if (answer.Status != execution.Status || !answer.Body.AsSpan().SequenceEqual(execution.Answer))
        {
            yield return $"not what the backend answered: {attempt}";
        }
        else if (attempt.IsReplay && !execution.IsReplayable)
        {
            yield return $"a replay of what must not be kept: {attempt}";
        }
    }

    /// <summary>Invariant 26: what the gateway says beside an answer is true of that answer.</summary>
    private IEnumerable<string> Marks(Attempt attempt)
    {
        if (attempt.ExecutionId is not { } id || _byId.GetValueOrDefault(id) is not { } execution)
        {
            yield break;
        }

        if (!attempt.IsReplay && execution.At < attempt.Sent)
        {
            yield return $"an old answer without the mark of a replay: {attempt}";
        }

        var expected = attempt.IsReplay || execution.IsReplayable ? null : execution.Counts ? "answer-not-kept" : "released";
        if (attempt.Status != expected && (attempt.IsReplay || !attempt.IsNotRecorded))
        {
            yield return $"expected the status {expected ?? "(none)"}: {attempt}";
        }
    }

    /// <summary>An answer is said to be lost only if there was one, and only where it may be.</summary>
    private IEnumerable<string> Lost(Execution[] executions, Attempt[] attempts) => attempts
        .Where(attempt => attempt.IsLostAnswer
            && !executions.Any(execution => execution.IsReplayable && execution.At < attempt.Ended && execution.Answer.Length >= losesFrom))
        .Select(attempt => $"an answer that cannot have been lost: {attempt}");

    /// <summary>
    /// Invariant 25: no lease outlives the faults. A try of its own that the store did not answer in time, on a busy machine, may begin a new one.
    /// </summary>
    private IEnumerable<string> Waiting(Attempt[] attempts)
    {
        var since = attempts.Where(attempt => attempt.Sent > healedAt).TakeWhile(attempt => attempt.Problem == "in-progress");
        return since.Select(attempt => $"still in progress: {attempt}");
    }

    /// <summary>Invariant 9: the first answer is given once; all others of an execution are marked, and equal to it in everything else.</summary>
    private static IEnumerable<string> Replays(Attempt[] attempts)
    {
        foreach (var answers in attempts.Where(attempt => attempt.ExecutionId is not null).GroupBy(attempt => attempt.ExecutionId))
        {
            if (answers.Count(attempt => !attempt.IsReplay) > 1)
            {
                yield return $"the answer of execution {answers.Key} was given twice without the mark of a replay";
            }

            if (answers.Select(attempt => Lines(attempt.Answer!)).Distinct().Count() > 1)
            {
                yield return $"replays of execution {answers.Key} differ in their header fields";
            }
        }
    }

    private static string Lines(Answer answer) => string.Join('\n', answer.Headers
        .Where(field => field.Key is not ("Idempotent-Replayed" or "Idempotency-Status" or "Connection"))
        .OrderBy(field => field.Key, StringComparer.OrdinalIgnoreCase)
        .Select(field => $"{field.Key}: {field.Value}"));

    /// <summary>Invariant 12: from the moment that a body is known to own the key, the other one is neither executed nor answered from the record.</summary>
    private static IEnumerable<string> Owner(Operation operation, Execution[] executions, Attempt[] attempts)
    {
        foreach (var refused in attempts.Where(attempt => attempt.Problem == "key-reused"))
        {
            if (!attempts.Any(other => other.IsChanged != refused.IsChanged && other.Sent < refused.Ended))
            {
                yield return $"no other body was sent: {refused}";
            }
        }

        foreach (var isChanged in (bool[])[false, true])
        {
            var proof = attempts.Where(attempt => attempt.IsChanged == isChanged && ShowsEnd(attempt, executions)).MinBy(attempt => attempt.Ended);
            if (proof is null)
            {
                continue;
            }

            var late = attempts.FirstOrDefault(attempt => attempt.IsChanged != isChanged && attempt.Sent > proof.Ended
                && !attempt.SaysNothing && attempt.Problem != "key-reused");
            if (late is not null)
            {
                yield return $"the key belonged to another body: {late}";
            }

            var body = operation.Body(!isChanged);
            if (executions.FirstOrDefault(execution => execution.RequestBody == body && execution.At > proof.Ended) is { } executed)
            {
                yield return $"the key belonged to another body: {executed}";
            }
        }
    }

    /// <summary>Invariants 6 and 15: a key that has come to its end stays there, and nothing is executed for it any more.</summary>
    private static IEnumerable<string> Final(Execution[] executions, Attempt[] attempts)
    {
        var end = attempts.Where(attempt => ShowsEnd(attempt, executions)).MinBy(attempt => attempt.Ended);
        foreach (var later in attempts.Where(attempt => end is not null && attempt.Sent > end.Ended))
        {
            if (later.ExecutionId is not null && !later.IsReplay)
            {
                yield return $"executed after the key had come to its end: {later}";
            }
        }

        var notKept = attempts.Where(attempt => attempt is { Problem: "answer-not-kept", IsLostAnswer: false }).MinBy(attempt => attempt.Ended);
        foreach (var later in attempts.Where(attempt => notKept is not null && attempt.Sent > notKept.Ended && !attempt.SaysNothing))
        {
            if (later.Problem is not ("answer-not-kept" or "key-reused"))
            {
                yield return $"it was on record that the answer is not kept, but: {later}";
            }
        }
    }

    /// <summary>
    /// Whether the key cannot be free any more, for the body that was sent. Not after 409 <c>outcome-uncertain</c>: an owner whose lease
    /// ran out may come back and say that nothing was executed.
    /// </summary>
    private static bool ShowsEnd(Attempt attempt, Execution[] executions) =>
        attempt.Problem is "answer-not-kept"
        || (attempt.Problem is "outcome-uncertain" && attempt.Completion == Completion.Unknown)
        || (attempt.ExecutionId is { } id && Array.Exists(executions, execution => execution.Id == id && execution.Counts));

    /// <summary>Invariants 6, 7 and 18: an answer that a client has seen is an answer that the store has, and it stays that way for the retention.</summary>
    private IEnumerable<string> Lasting(Operation operation, Attempt[] attempts)
    {
        var seen = attempts.Where(attempt =>
            !attempt.IsNotRecorded && attempt.ExecutionId is { } id && _byId.GetValueOrDefault(id) is { IsReplayable: true });
        // A first answer tells when its retention began at the earliest, a replay does not.
        IEnumerable<(Attempt Answer, TimeSpan Until)> records = operation.IsBrief
            ? seen.Where(attempt => !attempt.IsReplay).Select(attempt => (attempt, attempt.Sent + Operation.BriefRetention))
            : seen.OrderBy(attempt => attempt.Ended).Take(1).Select(attempt => (attempt, TimeSpan.MaxValue));
        return records.SelectMany(record => attempts
            .Where(attempt => attempt.Sent > record.Answer.Ended && attempt.Ended < record.Until)
            .Where(attempt => attempt.IsChanged == record.Answer.IsChanged && !attempt.SaysNothing && !attempt.IsLostAnswer)
            .Where(attempt => !attempt.IsReplay || attempt.ExecutionId != record.Answer.ExecutionId)
            .Select(attempt => $"the answer was recorded, but: {attempt}"));
    }

    /// <summary>Invariant 14: a key that the gateway said to be free is free for the next request, if none other can have taken it meanwhile.</summary>
    private static IEnumerable<string> Freed(Attempt[] attempts)
    {
        foreach (var freed in attempts.Where(attempt => attempt.IsReleased && !attempt.MayBeRenewed))
        {
            var next = attempts.Where(attempt => attempt.Sent > freed.Ended).MinBy(attempt => attempt.Sent);
            if (next is null || next.SaysNothing || next.MayHaveExecuted || next.Problem == "backend-unreachable")
            {
                continue;
            }

            var others = attempts.Where(attempt => attempt != freed && attempt != next && attempt.Sent < next.Ended);
            if (others.All(attempt => attempt.Ended < freed.Sent && !attempt.LeavesItOpen))
            {
                yield return $"the key was free, but: {next}";
            }
        }
    }

    /// <summary>Invariant 26: "in progress" and "uncertain" are never said of a key of which every request has come to a known end.</summary>
    private static IEnumerable<string> Causes(Attempt[] attempts) => attempts
        .Where(attempt => attempt.Problem is "in-progress" || (attempt.Problem is "outcome-uncertain" && attempt.Completion == Completion.Fail))
        .Where(attempt => !attempts.Any(other => other != attempt && other.Sent < attempt.Ended
            && (other.Ended > attempt.Sent || other.LeavesItOpen || (other.IsReleased && other.MayBeRenewed))))
        .Select(attempt => $"no request can be the cause: {attempt}");

    /// <summary>Invariant 25: when faults are over, every key comes to an end.</summary>
    private static IEnumerable<string> Ending(Operation operation)
    {
        if (operation.Final is null)
        {
            yield return "no final answer after everything was healed";
        }
    }

    /// <summary>Invariant 15: what was executed is not executed when the faults are over.</summary>
    private IEnumerable<string> EndAgain(Operation operation, Execution[] executions)
    {
        if (operation.Final is { IsReplay: false, ExecutionId: not null } final
            && executions.Any(execution => execution.Counts && execution.Id != final.ExecutionId && execution.At < healedAt))
        {
            yield return $"executed before, and again at the end: {final}";
        }
    }
}
