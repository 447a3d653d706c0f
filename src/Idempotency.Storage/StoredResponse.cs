namespace Idempotency.Storage;

/// <summary>Why an executed request's answer was not kept. Values are part of the record format: never renumber.</summary>
internal enum TombstoneReason : byte
{
    None = 0,

    /// <summary>Larger than the policy's <c>Response:MaxBodyBytes</c>.</summary>
    TooLarge = 1,

    /// <summary>The backend forbade storing: <c>Cache-Control: no-store</c>.</summary>
    NoStore = 2,

    /// <summary>Without Content-Length and not chunked: a cut-off answer would look complete (RFC 9112, section 6.3).</summary>
    Unframed = 3,

    /// <summary>An unbounded stream: <c>text/event-stream</c>.</summary>
    Stream = 4,

    /// <summary>206 answers a range of something, not the request (RFC 9111, section 3.3).</summary>
    Partial = 5,

    /// <summary>Executed, but its header fields cannot be relayed (not ASCII, contradicting lengths).</summary>
    Headers = 6,

    /// <summary>Trailer fields would be lost.</summary>
    Trailers = 7,

    /// <summary>
    /// The gateway had no memory left for it (<c>Limits:BufferedBytes</c>), or the answers' server (<c>Store:Answers</c>) did not take it
    /// and it is too large for its record.
    /// </summary>
    NoRoom = 8,
}

/// <summary>The answer of a settled key: as the backend sent it, or a tombstone that says that it ran and how it ended.</summary>
/// <param name="Status">The backend's status code.</param>
/// <param name="Headers">End-to-end fields in their order, a pair per line sent.</param>
/// <param name="Body">The bytes that the backend sent; empty for a tombstone, and while the body is kept apart.</param>
/// <param name="Tombstone">Why the answer is not kept; <see cref="TombstoneReason.None"/> for a whole answer.</param>
/// <param name="Apart">What to fetch the body by; null when it stands in the record.</param>
internal sealed record StoredResponse(
    int Status,
    IReadOnlyList<KeyValuePair<string, string>> Headers,
    ReadOnlyMemory<byte> Body,
    TombstoneReason Tombstone = TombstoneReason.None,
    BodyReference? Apart = null);
