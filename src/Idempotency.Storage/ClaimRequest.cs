namespace Idempotency.Storage;

/// <summary>Everything that a store needs to claim a key, and to write the claim again should the store have lost it.</summary>
/// <param name="Id">The record.</param>
/// <param name="Token">The owner's token, new for every claim.</param>
/// <param name="Fingerprint">What the key is used for.</param>
/// <param name="Lease">How long the claim stands without renewal, in the store's clock.</param>
/// <param name="Retention">
/// How long the record lives, counted from the claim or its last renewal; at least <paramref name="Lease"/>. When it equals the lease, the
/// claim is a lock: it reads as absent, never as uncertain, when its lease is over.
/// </param>
/// <param name="TakeOver">
/// The attempt that may be taken over, or 0: an uncertain record with this attempt and the same fingerprint becomes the caller's. Any other
/// record is returned as it is.
/// </param>
/// <param name="Probe">For the sweeper (<see cref="IIdempotencyStore.FindUncertainAsync"/>), kept until the claim is settled; a take-over keeps the first one's.</param>
/// <param name="Attempt">Which attempt this claim is: for writes of the owner, from <see cref="ClaimResult.Attempt"/>. A claim itself does not read it.</param>
internal readonly record struct ClaimRequest(
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
    public bool IsLock => Retention == Lease;
}
