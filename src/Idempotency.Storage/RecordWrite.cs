namespace Idempotency.Storage;

/// <summary>How a record is to be changed.</summary>
public enum RecordWriteKind
{
    /// <summary>Nothing.</summary>
    Nothing,

    /// <summary>The whole record, from the claim, in the place of what is there; no longer forgotten, with the claim's probe unless settled.</summary>
    Put,

    /// <summary>State, token, lease, expiry and attempt; the answer, and no probe any more, when settled.</summary>
    Update,

    /// <summary>Delete it.</summary>
    Delete,
}

/// <summary>What <see cref="RecordRules"/> decided to write to one record. The store adds what it does not carry: fingerprint, probe and answer.</summary>
/// <param name="Kind">What to write; the rest is for <see cref="RecordWriteKind.Put"/> and <see cref="RecordWriteKind.Update"/>.</param>
/// <param name="State">The new state.</param>
/// <param name="Token">The new owner's token.</param>
/// <param name="LeaseUntil">The new end of the lease, in milliseconds since 1970.</param>
/// <param name="ExpiresAt">The new end of the retention, likewise.</param>
/// <param name="Attempt">The new attempt.</param>
public readonly record struct RecordWrite(
    RecordWriteKind Kind, RecordState State = default, ClaimToken Token = default, long LeaseUntil = 0, long ExpiresAt = 0, int Attempt = 0);
