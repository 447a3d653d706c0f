namespace Idempotency.Storage;

/// <summary>The state of a record as it is kept; what it reads as also depends on the clock (<see cref="StoredRecord.ToResult"/>).</summary>
public enum RecordState
{
    /// <summary>Until its lease is over; then it reads as uncertain, and nobody has to write that down.</summary>
    Claimed = 1,

    /// <summary>Its owner said so.</summary>
    Uncertain = 2,

    /// <summary>It has its answer.</summary>
    Settled = 3,
}

/// <summary>A record as a database holds it, without its id and its probe. Times are milliseconds since 1970 (UTC), by the store's clock.</summary>
/// <param name="State">The state.</param>
/// <param name="Token">The owner's token.</param>
/// <param name="Fingerprint">What the key is used for.</param>
/// <param name="LeaseUntil">A claim past this reads as uncertain. Of one that was marked uncertain: since when nothing of it is sent.</param>
/// <param name="ExpiresAt">A record past this reads as absent.</param>
/// <param name="Answer">The answer, when settled; else nothing.</param>
/// <param name="Attempt">1, and one more for every take-over.</param>
/// <param name="IsForgotten">Deleted by an operator: reads as absent, keeps its owner's late writes out.</param>
public readonly record struct StoredRecord(
    RecordState State, ClaimToken Token, Fingerprint Fingerprint, long LeaseUntil, long ExpiresAt, ReadOnlyMemory<byte> Answer, int Attempt, bool IsForgotten)
{
    /// <summary>What this record is to others than its owner; not for one that is forgotten, or whose retention is over: those are absent.</summary>
    /// <param name="now">The store's time.</param>
    public ClaimResult ToResult(long now) => State switch
    {
        RecordState.Settled => new ClaimResult(ClaimState.Settled, Fingerprint, TimeSpan.FromMilliseconds(ExpiresAt - now), Answer, Attempt),
        RecordState.Claimed when LeaseUntil > now => new ClaimResult(ClaimState.InProgress, Fingerprint, TimeSpan.FromMilliseconds(LeaseUntil - now), Attempt: Attempt),
        _ => new ClaimResult(ClaimState.Uncertain, Fingerprint, Attempt: Attempt, Age: TimeSpan.FromMilliseconds(now - LeaseUntil)),
    };
}
