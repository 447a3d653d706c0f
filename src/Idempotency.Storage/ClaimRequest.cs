namespace Idempotency.Storage;

/// <summary>
/// Everything that a store needs to claim a key, and to write the claim again should the store have lost it: every call of the owner carries all of it.
/// </summary>
/// <param name="Id">The record.</param>
/// <param name="Token">The owner's token, new for every claim.</param>
/// <param name="Fingerprint">What the key is used for. Kept, and compared by a take-over only: whether a retry is the same request is the caller's to say.</param>
/// <param name="Lease">How long the claim stands without renewal, in the store's clock; to the millisecond, as all times. At most an hour.</param>
/// <param name="Retention">
/// How long the record lives, counted from the claim or its last renewal, in the store's clock; at least <paramref name="Lease"/>. When it equals the lease, the
/// claim is a lock: it reads as absent, never as uncertain, when its lease is over (docs/decisions/0012-locks-are-claims.md).
/// </param>
/// <param name="TakeOver">
/// The attempt that may be taken over, or 0: an uncertain record with this attempt and the same fingerprint becomes the caller's. Any other
/// record is returned as it is.
/// </param>
/// <param name="Probe">Bytes for the sweeper (<see cref="IIdempotencyStore.FindUncertainAsync"/>), usually none, else a kilobyte or so: kept as they are until the claim is settled; a take-over keeps the first one's.</param>
/// <param name="Attempt">Which attempt this claim is: for writes of the owner, from <see cref="ClaimResult.Attempt"/>. A claim itself does not read it.</param>
public readonly record struct ClaimRequest(
    RecordId Id,
    ClaimToken Token,
    Fingerprint Fingerprint,
    TimeSpan Lease,
    TimeSpan Retention,
    int TakeOver = 0,
    ReadOnlyMemory<byte> Probe = default,
    int Attempt = 1)
{
    /// <summary>It is absent when its lease is over, never uncertain.</summary>
    internal bool IsLock => Retention == Lease;
}
