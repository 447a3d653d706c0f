namespace Idempotency.Storage;

/// <summary>The records of one part of the store that are uncertain now, with and without a probe.</summary>
/// <param name="Found">Of this part.</param>
/// <param name="IsFirst">A round begins with it: what came before, if it was not the end of one, is void.</param>
/// <param name="IsLast">The round ends with it: it has met every record that was there all the time, on the same server.</param>
public readonly record struct UncertainPart(IReadOnlyList<UncertainMark> Found, bool IsFirst, bool IsLast);

/// <summary>A record that is uncertain.</summary>
/// <param name="Id">The record.</param>
/// <param name="IsMarked">Its owner said so. If not, its lease ended, and nobody has said what became of it.</param>
/// <param name="Age">How long it has been uncertain, by the store's clock.</param>
public readonly record struct UncertainMark(RecordId Id, bool IsMarked, TimeSpan Age);
