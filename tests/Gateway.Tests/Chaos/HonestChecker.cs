using System.Globalization;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// What an honest backend was made to do, and must not have been: the same work twice under <c>Probe</c>, an attempt that comes when a later one
/// has been there under <c>Retry</c>, or two things at once under a lock. Pure, as <see cref="HistoryChecker"/> is.
/// </summary>
/// <param name="injections">Every fault; those at the time are named.</param>
internal sealed class HonestChecker(IReadOnlyCollection<Injection> injections)
{
    /// <summary>What is wrong, and when it could be seen, in the order of time.</summary>
    public IReadOnlyList<(TimeSpan At, string Wrong)> Check(IReadOnlyCollection<HonestExecution> history)
    {
        var byPath = history.GroupBy(execution => execution.Path, (path, executions) => (path, Executions: executions.OrderBy(execution => execution.At).ToArray()));
        return [.. byPath.SelectMany(entry => entry.path switch
        {
            var path when IsBelow(path, HonestWork.KeyedPath) => Repeated(entry.Executions),
            var path when IsBelow(path, HonestWork.RetriedPath) => Late(entry.Executions),
            _ => Overlapping(entry.Executions),
        }).OrderBy(wrong => wrong.At)];
    }

    private static bool IsBelow(string path, string parent) => path.StartsWith($"{parent}/", StringComparison.Ordinal);

    /// <summary>Invariant 1, where the backend can tell what it has done.</summary>
    private IEnumerable<(TimeSpan At, string Wrong)> Repeated(HonestExecution[] executions) => executions.Length == 1 ? []
        : [(executions[1].At, $"executed {executions.Length} times: {Lines(executions)}")];

    /// <summary>Each attempt is another one's successor, whose gateway sends nothing any more.</summary>
    private IEnumerable<(TimeSpan At, string Wrong)> Late(HonestExecution[] executions) => executions.Zip(executions.Skip(1))
        .Where(pair => pair.Second.Attempt <= pair.First.Attempt)
        .Select(pair => (pair.Second.At, $"attempt {pair.Second.Attempt} after attempt {pair.First.Attempt}: {Lines([pair.First, pair.Second])}"));

    private IEnumerable<(TimeSpan At, string Wrong)> Overlapping(HonestExecution[] executions) => executions.Zip(executions.Skip(1))
        .Where(pair => pair.Second.Overlaps)
        .Select(pair => (pair.Second.At, $"both at once under a lock: {Lines([pair.First, pair.Second])}"));

    private string Lines(HonestExecution[] executions)
    {
        var what = executions.Select(execution => $"{execution.Key} by {execution.Gateway} at {Seconds(execution.At)}");
        var faults = injections
            .Where(injection => injection.Overlaps(executions[0].At, executions[^1].At))
            .Select(injection => $"{injection.Fault.Kind} {injection.Fault.Target} from {Seconds(injection.Begin)} to {Seconds(injection.End)}");
        return $"{string.Join(", ", what)}; faults at that time: {string.Join(", ", faults)}";
    }

    private static string Seconds(TimeSpan time) => string.Create(CultureInfo.InvariantCulture, $"{time.TotalSeconds:F3} s");
}
