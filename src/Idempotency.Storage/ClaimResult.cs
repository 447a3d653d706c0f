namespace Idempotency.Storage;

/// <summary>What a claim found. Expected outcomes are values; a store that cannot answer throws <see cref="StoreUnavailableException"/>.</summary>
public enum ClaimState
{
    /// <summary>The key was free and is now the caller's; forward, then settle or release.</summary>
    Claimed,

    /// <summary>Another request holds the claim and its lease is running.</summary>
    InProgress,

    /// <summary>The first request was forwarded and nobody knows how it ended, or its lease ran out.</summary>
    Uncertain,

    /// <summary>The first request is settled; <see cref="ClaimResult.Answer"/> holds the recorded answer or tombstone.</summary>
    Settled,
}

/// <summary>What is on record, after a claim or without one.</summary>
/// <param name="State">What was found.</param>
/// <param name="Fingerprint">The fingerprint on record; the caller's own when <see cref="ClaimState.Claimed"/>.</param>
/// <param name="Remaining">What is left, in the store's clock: of the lease when <see cref="ClaimState.InProgress"/>, of the retention when <see cref="ClaimState.Settled"/>.</param>
/// <param name="Answer">The bytes that <see cref="IIdempotencyStore.SettleAsync"/> was given, when <see cref="ClaimState.Settled"/>.</param>
/// <param name="Attempt">The attempt on record: 1 for a fresh claim, one more for every take-over; the caller's own when <see cref="ClaimState.Claimed"/>.</param>
/// <param name="Age">When <see cref="ClaimState.Uncertain"/>: how long ago its owner said so, or its lease ran out. Since then the attempt on record has sent nothing, but for what it had looked at just before (docs/decisions/0019-the-last-look.md).</param>
public readonly record struct ClaimResult(
    ClaimState State, Fingerprint Fingerprint, TimeSpan Remaining = default, ReadOnlyMemory<byte> Answer = default, int Attempt = 1, TimeSpan Age = default);
