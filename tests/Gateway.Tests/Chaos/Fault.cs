namespace Gateway.Tests.Chaos;

/// <summary>Something that goes wrong for a while.</summary>
/// <param name="Kind">For the summary.</param>
/// <param name="Target">Two faults at a time never have the same.</param>
/// <param name="Lasts">From injecting to healing.</param>
internal sealed record Fault(string Kind, string Target, TimeSpan Lasts, Func<Task> Inject, Func<Task> Heal)
{
    public override string ToString() => $"{Kind} {Target} {Lasts.TotalMilliseconds} ms";
}
