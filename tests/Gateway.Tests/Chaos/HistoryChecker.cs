using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Holds what clients saw of one operation against what the backend did. Pure, so that it can itself be tested: a checker that finds
/// nothing is worth nothing until it was seen to find something.
/// </summary>
/// <param name="ledger">All of the backend's executions, whoever asked for them.</param>
/// <param name="healedAt">When the last fault had been healed and the last lease was over.</param>
internal sealed class HistoryChecker(IReadOnlyCollection<Execution> ledger, TimeSpan healedAt)
{
    private static readonly string[] OwnWords =
        ["in-progress", "outcome-uncertain", "answer-not-kept", "store-unavailable", "shutting-down", "backend-unreachable", "key-reused"];

    private readonly Dictionary<int, Execution> _byId = ledger.ToDictionary(execution => execution.Id);
    private readonly ILookup<(string, string), Execution> _byKey = ledger.ToLookup(execution => (execution.Scope, execution.Key));

    /// <summary>What is wrong, in words; nothing when all is well.</summary>
    public IReadOnlyList<string> Check(Operation operation)
    {
        Execution[] executions = [.. ExecutionsOf(operation)];
        Attempt[] attempts = [.. operation.Attempts];
        return
        [
            .. Executions(executions, attempts),
            .. attempts.SelectMany(attempt => Origin(operation, attempt)),
            .. Waiting(attempts),
            .. Replays(attempts),
            .. Owner(operation, executions, attempts),
            .. Lasting(attempts),
            .. End(operation, executions),
        ];
    }

    public IEnumerable<Execution> ExecutionsOf(Operation operation) => _byKey[(operation.Scope, operation.Key)];

    /// <summary>At most one execution that counts, and none that nobody asked for.</summary>
    private static IEnumerable<string> Executions(Execution[] executions, Attempt[] attempts)
    {
        if (executions.Count(execution => execution.Counts) > 1)
        {
            yield return "executed more than once";
        }

        if (executions.Length > attempts.Length)
        {
            yield return $"{executions.Length} arrivals at the backend for {attempts.Length} requests";
        }
    }

    /// <summary>Every answer is that of an execution of this very request, or one of the gateway's own words.</summary>
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

    /// <summary>
    /// No lease outlives the faults. A try of its own that the store did not answer in time, on a busy machine, may begin a new one.
    /// </summary>
    private IEnumerable<string> Waiting(Attempt[] attempts)
    {
        var since = attempts.Where(attempt => attempt.Sent > healedAt).TakeWhile(attempt => attempt.Problem == "in-progress");
        return since.Select(attempt => $"still in progress: {attempt}");
    }

    /// <summary>The first answer is given once; all others of an execution are marked, and equal to it in everything else.</summary>
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

    /// <summary>From the moment that a body is known to own the key, the other one is neither executed nor answered from the record.</summary>
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
            var proof = attempts.Where(attempt => attempt.IsChanged == isChanged && ShowsRecord(attempt, executions)).MinBy(attempt => attempt.Ended);
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

    private static bool ShowsRecord(Attempt attempt, Execution[] executions) =>
        attempt.Problem is "outcome-uncertain" or "answer-not-kept"
        || executions.Any(execution => execution.Id == attempt.ExecutionId && execution.Counts);

    /// <summary>An answer that a client has seen is an answer that the store has, and it stays that way.</summary>
    private IEnumerable<string> Lasting(Attempt[] attempts)
    {
        var seen = attempts
            .Where(attempt => !attempt.IsNotRecorded && attempt.ExecutionId is { } id && _byId.GetValueOrDefault(id) is { IsReplayable: true })
            .MinBy(attempt => attempt.Ended);
        return seen is null
            ? []
            : attempts
                .Where(attempt => attempt.Sent > seen.Ended && attempt.IsChanged == seen.IsChanged && !attempt.SaysNothing)
                .Where(attempt => !attempt.IsReplay || attempt.ExecutionId != seen.ExecutionId)
                .Select(attempt => $"the answer was recorded, but: {attempt}");
    }

    /// <summary>When faults are over, every key comes to an end, and what was executed is not executed now.</summary>
    private IEnumerable<string> End(Operation operation, Execution[] executions)
    {
        if (operation.Final is not { } final)
        {
            yield return "no final answer after everything was healed";
        }
        else if (!final.IsReplay && final.ExecutionId is not null
            && executions.Any(execution => execution.Counts && execution.Id != final.ExecutionId && execution.At < healedAt))
        {
            yield return $"executed before, and again at the end: {final}";
        }
    }
}
