namespace Idempotency.Storage.Postgres;

/// <summary>What tells a server that kept everything from one that did not, or is another one.</summary>
/// <param name="System">The cluster's number, given when it was made; a physical copy has the same.</param>
/// <param name="Timeline">Another one after every promotion and every recovery to a point in time.</param>
/// <param name="Table">The number of the records' table, another one when it was made anew; 0 when there is none.</param>
/// <param name="FlushedTo">How much of its write-ahead log is on disk, in bytes.</param>
/// <param name="IsNew">It became the primary so short a time ago that others may still put their writes back.</param>
internal readonly record struct PostgresIdentity(long System, string Timeline, long Table, long FlushedTo, bool IsNew)
{
    /// <summary>What this server lost, or may have lost, of what another one or itself had earlier; null when nothing.</summary>
    /// <param name="before">What was known before this one was asked.</param>
    public string? LossSince(in PostgresIdentity before) => this switch
    {
        _ when System != before.System => $"it is another cluster (system identifier {System}, not {before.System})",
        _ when Timeline != before.Timeline => $"it is on timeline {Timeline} now, not {before.Timeline}",
        _ when FlushedTo < before.FlushedTo => "its log is shorter than it was: it is an older copy, or lost its end in a crash",
        _ when Table != before.Table && Table != 0 && before.Table != 0 => "its table of records was made anew",
        _ => null,
    };

    public bool IsSameServerAs(in PostgresIdentity other) => System == other.System && Timeline == other.Timeline;
}
