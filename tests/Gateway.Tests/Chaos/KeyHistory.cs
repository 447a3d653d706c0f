namespace Gateway.Tests.Chaos;

/// <summary>
/// Writes down what happened to one key, for whoever has to find out why: first the least of it that shows the violation, then everything,
/// with the faults at that time and the gateways' own words about the record.
/// </summary>
/// <param name="checker">Tells whether a part of the history still shows what is wrong.</param>
/// <param name="injections">Every fault.</param>
/// <param name="logs">Each gateway's output; lines that name the record are shown.</param>
internal sealed class KeyHistory(
    HistoryChecker checker, IReadOnlyCollection<Injection> injections, IReadOnlyList<(string Gateway, IEnumerable<string> Lines)> logs)
{
    /// <summary>More lines of one kind than anyone reads.</summary>
    private const int MaxShown = 5;

    public string Write(Operation operation, string record, IReadOnlyList<string> wrong)
    {
        var (least, leastExecutions) = Least(operation, wrong[0]);
        var lines = logs.SelectMany(log => log.Lines
            .Where(line => line.Contains($"{record} ", StringComparison.Ordinal))
            .Select(line => $"  {log.Gateway}: {line}"));
        return $"VIOLATION, {operation.Key} of {operation.Scope}, record {record}:\n"
            + string.Concat(wrong.Take(MaxShown).Select(text => $"  * {text}\n"))
            + (wrong.Count > MaxShown ? $"  * and {wrong.Count - MaxShown} more\n" : "")
            + $"The least that shows the first:\n{Lines(least, leastExecutions, [])}\n"
            + $"All of it:\n{Lines(operation, [.. checker.ExecutionsOf(operation)], injections)}\n"
            + $"The gateways' logs of it:\n{string.Join('\n', lines)}";
    }

    /// <summary>When the violation could first be seen.</summary>
    public TimeSpan SeenAt(Operation operation, IReadOnlyList<string> wrong)
    {
        var (least, executions) = Least(operation, wrong[0]);
        return Events(least, executions).Select(entry => entry.At).DefaultIfEmpty().Max();
    }

    /// <summary>Without every attempt that can be left out and the same is still wrong, and without what the backend did after the last of them.</summary>
    private (Operation Operation, Execution[] Executions) Least(Operation operation, string wrong)
    {
        var least = operation;
        foreach (var attempt in operation.Attempts)
        {
            var smaller = least.With(least.Attempts.Where(other => other != attempt));
            least = checker.Check(smaller).Contains(wrong) ? smaller : least;
        }

        var end = least.Attempts.IsEmpty ? TimeSpan.MaxValue : least.Attempts.Max(attempt => attempt.Ended);
        return (least, [.. checker.ExecutionsOf(operation).Where(execution => execution.At <= end)]);
    }

    private static IEnumerable<(TimeSpan At, string What)> Events(Operation operation, Execution[] executions) =>
        operation.Attempts.Select(attempt => (attempt.Ended, $"{attempt}"))
            .Concat(executions.Select(execution => (execution.At, $"{execution}")));

    private static string Lines(Operation operation, Execution[] executions, IEnumerable<Injection> injections)
    {
        var events = Events(operation, executions).ToList();
        if (events.Count == 0)
        {
            return "  (nothing)";
        }

        var faults = injections.Where(injection => operation.Attempts.Any(attempt => injection.Overlaps(attempt.Sent, attempt.Ended))).SelectMany(injection => new (TimeSpan At, string What)[]
        {
            (injection.Begin, $"fault   begins: {injection.Fault}"),
            (injection.End, $"fault   healed: {injection.Fault}"),
        });
        return string.Join('\n', events.Concat(faults).OrderBy(entry => entry.At).Select(entry => $"  {entry.At.TotalSeconds,8:F3}  {entry.What}"));
    }
}
