using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>What a request found when it claimed its key.</summary>
/// <param name="Claim">What it asked for, to forward with when that was had.</param>
/// <param name="Result">What is on record.</param>
/// <param name="AskedAt">Taken before the store was asked.</param>
internal readonly record struct FoundKey(ClaimRequest Claim, ClaimResult Result, Moment AskedAt)
{
    public RecordId Id => Claim.Id;
}
