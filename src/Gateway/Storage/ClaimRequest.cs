namespace Gateway.Storage;

/// <summary>Everything that a store needs to claim a key, and to write the claim again should the store have lost it.</summary>
/// <param name="Id">The record.</param>
/// <param name="Token">The owner's token, new for every claim.</param>
/// <param name="Fingerprint">What the key is used for.</param>
/// <param name="Lease">How long the claim stands without renewal, in the store's clock.</param>
/// <param name="Retention">How long the record lives, counted from the claim or its last renewal; at least <paramref name="Lease"/>.</param>
internal readonly record struct ClaimRequest(RecordId Id, ClaimToken Token, Fingerprint Fingerprint, TimeSpan Lease, TimeSpan Retention);
