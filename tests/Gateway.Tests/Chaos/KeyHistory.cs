namespace Gateway.Tests.Chaos;

/// <summary>Writes down everything that happened to one key, in order of time, for whoever has to find out why.</summary>
internal static class KeyHistory
{
    private static readonly TimeSpan Before = TimeSpan.FromSeconds(5);

    public static string Write(
        ulong seed,
        Operation operation,
        IEnumerable<string> wrong,
        IEnumerable<Execution> executions,
        IEnumerable<(TimeSpan At, string What)> diary)
    {
        var events = operation.Attempts.Select(attempt => (At: attempt.Ended, What: attempt.ToString()))
            .Concat(executions.Select(execution => (execution.At, What: execution.ToString())))
            .ToList();
        var from = operation.Attempts.Min(attempt => attempt.Sent) - Before;
        var to = events.Max(entry => entry.At);
        var lines = events.Concat(diary.Where(entry => entry.At >= from && entry.At <= to))
            .OrderBy(entry => entry.At)
            .Select(entry => $"  {entry.At.TotalSeconds,8:F3}  {entry.What}");
        return $"VIOLATION, seed {seed}, {operation.Key} of {operation.Scope}:\n"
            + string.Concat(wrong.Select(text => $"  * {text}\n"))
            + string.Join('\n', lines);
    }
}
