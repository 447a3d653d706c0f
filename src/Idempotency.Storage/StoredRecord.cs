namespace Idempotency.Storage;

/// <summary>The state of a record on disk; what it reads as also depends on the clock (<see cref="StoredRecord.ToResult"/>).</summary>
internal enum RecordState
{
    Claimed = 1,
    Uncertain = 2,
    Settled = 3,
}

/// <summary>A record as a database holds it, without its probe. Times are milliseconds since 1970, by the store's clock.</summary>
/// <param name="State">The state.</param>
/// <param name="Token">The owner's token.</param>
/// <param name="Fingerprint">What the key is used for.</param>
/// <param name="LeaseUntil">A claim past this reads as uncertain. Of one that was marked uncertain: since when nothing of it is sent.</param>
/// <param name="ExpiresAt">A record past this reads as absent.</param>
/// <param name="Answer">The answer, when settled.</param>
/// <param name="Attempt">1, and one more for every take-over.</param>
/// <param name="IsForgotten">Deleted by an operator: reads as absent, keeps its owner's late writes out.</param>
internal readonly record struct StoredRecord(
    RecordState State, ClaimToken Token, Fingerprint Fingerprint, long LeaseUntil, long ExpiresAt, ReadOnlyMemory<byte> Answer, int Attempt, bool IsForgotten)
{
    /// <summary>What this record is to others than its owner.</summary>
    public ClaimResult ToResult(long now) => State switch
    {
        RecordState.Settled => new ClaimResult(ClaimState.Settled, Fingerprint, TimeSpan.FromMilliseconds(ExpiresAt - now), Answer, Attempt),
        RecordState.Claimed when LeaseUntil > now => new ClaimResult(ClaimState.InProgress, Fingerprint, TimeSpan.FromMilliseconds(LeaseUntil - now), Attempt: Attempt),
        _ => new ClaimResult(ClaimState.Uncertain, Fingerprint, Attempt: Attempt, Age: TimeSpan.FromMilliseconds(now - LeaseUntil)),
    };
}
