namespace Idempotency.Storage;

/// <summary>What is to be written to one record.</summary>
internal enum RecordWriteKind
{
    Nothing,

    /// <summary>The whole record, from the claim, in the place of what is there; no longer forgotten, with the claim's probe unless settled.</summary>
    Put,

    /// <summary>State, token, lease, expiry and attempt; the answer, and no probe any more, when settled.</summary>
    Update,

    Delete,
}

/// <param name="Kind">What to write; the rest is for <see cref="RecordWriteKind.Put"/> and <see cref="RecordWriteKind.Update"/>.</param>
/// <param name="State">The new state.</param>
/// <param name="Token">The new owner's token.</param>
/// <param name="LeaseUntil">The new end of the lease.</param>
/// <param name="ExpiresAt">The new end of the retention.</param>
/// <param name="Attempt">The new attempt.</param>
internal readonly record struct RecordWrite(
    RecordWriteKind Kind, RecordState State = default, ClaimToken Token = default, long LeaseUntil = 0, long ExpiresAt = 0, int Attempt = 0);
