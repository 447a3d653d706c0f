namespace Gateway.Tests.Chaos;

/// <summary>
/// What clients of a healthy gateway may expect of time: a quick refusal when its store is away, an answer when nothing is, and no harm to
/// requests without a key. Bounds are wide, because test machines are slow; the faults that they must tell apart are wider.
/// </summary>
/// <param name="injections">Every fault.</param>
/// <param name="healedAt">When the last was over.</param>
internal sealed class Promptness(IReadOnlyCollection<Injection> injections, TimeSpan healedAt)
{
    /// <summary>The target of faults that are the test machine's own.</summary>
    public const string Machine = "machine";

    /// <summary>The store's timeout, twice, and patience with the machine.</summary>
    private static readonly TimeSpan RefusalTime = TimeSpan.FromSeconds(4);

    /// <summary>Invariants 17 and 25.</summary>
    public IEnumerable<string> Check(IEnumerable<Attempt> attempts)
    {
        foreach (var attempt in attempts)
        {
            if (attempt.Problem == "store-unavailable" && attempt.Ended - attempt.Sent > RefusalTime && IsWell(attempt.Gateway, attempt.Sent, attempt.Ended))
            {
                yield return $"refused too late: {attempt}";
            }

            if (attempt.Answer is null && attempt.Sent > healedAt)
            {
                yield return $"no answer although nothing was wrong: {attempt}";
            }
        }
    }

    /// <summary>Invariant 17: the store's faults are none of theirs.</summary>
    public IEnumerable<string> Check(IEnumerable<Passage> passages) => passages
        .Where(passage => passage.Failure is not null && IsWell(passage.Gateway, passage.Sent, passage.Ended)
            && IsWell($"{passage.Gateway}-backend", passage.Sent, passage.Ended))
        .Select(passage => $"a request without a key was not served although only the store was away: {passage}");

    private bool IsWell(string target, TimeSpan from, TimeSpan to) =>
        !injections.Any(injection => (injection.Fault.Target == target || injection.Fault.Target == Machine) && injection.Overlaps(from, to));
}
