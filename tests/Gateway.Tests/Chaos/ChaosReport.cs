namespace Gateway.Tests.Chaos;

/// <summary>What a run came to.</summary>
/// <param name="Violations">Per operation: what is wrong, and its history.</param>
internal sealed record ChaosReport(string Summary, IReadOnlyList<string> Violations)
{
    /// <summary>More than anyone reads.</summary>
    private const int MaxShown = 10;

    public override string ToString() => string.Join("\n\n", [.. Violations.Take(MaxShown), Summary]);
}
