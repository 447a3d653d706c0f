namespace Idempotency.Storage;

/// <summary>What a record says of a body that is kept apart from it.</summary>
/// <param name="Token">The owner's: with the record's id it names the body, so that no other attempt can write over it.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Hash">Its SHA-256.</param>
internal readonly record struct BodyReference(ClaimToken Token, int Length, Digest Hash);
