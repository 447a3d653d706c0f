namespace Gateway.Tests.Chaos;

/// <summary>A fault as it happened. Times are since the start of the run; the end is when it was healed.</summary>
internal sealed record Injection(Fault Fault, TimeSpan Begin, TimeSpan End)
{
    /// <summary>What a fault leaves behind (broken connections, a process that has just started) is over by then.</summary>
    private static readonly TimeSpan Aftermath = TimeSpan.FromSeconds(1);

    public bool Overlaps(TimeSpan from, TimeSpan to) => Begin <= to && from <= End + Aftermath;
}
