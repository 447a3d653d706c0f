namespace Idempotency.Storage;

/// <summary>A record that a sweeper may resolve.</summary>
/// <param name="Id">The record.</param>
/// <param name="Fingerprint">What the key was used for.</param>
/// <param name="Attempt">The attempt whose outcome is unknown, for <see cref="ClaimRequest.TakeOver"/>.</param>
/// <param name="Probe">As its claim gave it.</param>
/// <param name="Rest">What is left of the retention.</param>
public readonly record struct UncertainRecord(RecordId Id, Fingerprint Fingerprint, int Attempt, ReadOnlyMemory<byte> Probe, TimeSpan Rest);
