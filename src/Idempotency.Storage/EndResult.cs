namespace Idempotency.Storage;

/// <summary>What became of the write that ends a claim, as far as it is known when its request goes on.</summary>
internal enum EndResult
{
    /// <summary>The store has it.</summary>
    Recorded,

    /// <summary>The store did not take it; it is tried again in the background.</summary>
    Later,

    /// <summary>The store did not take it, and nobody tries again: too much waits already.</summary>
    Dropped,

    /// <summary>It will never be on record: the record is another owner's, or was ended before.</summary>
    Refused,
}
