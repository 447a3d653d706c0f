using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>An answer as it goes into the store.</summary>
/// <param name="Record">The bytes.</param>
/// <param name="Reason">Why it is a tombstone; None for an answer that can be given again.</param>
/// <param name="IsApart">The record only refers to the body.</param>
internal readonly record struct WrittenAnswer(ReadOnlyMemory<byte> Record, TombstoneReason Reason, bool IsApart);
