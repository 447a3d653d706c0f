namespace Idempotency.Storage;

/// <summary>
/// What a key was first used for: a digest of the parts of the request that make it the same request
/// (draft-ietf-httpapi-idempotency-key-header-07, section 2.4). To a store it is bytes to keep and to compare. The algorithm's version travels with it, so that a
/// later release can recompute an older fingerprint instead of taking every replay for another request.
/// </summary>
/// <param name="Version">Of the algorithm.</param>
/// <param name="Digest">The digest.</param>
public readonly record struct Fingerprint(byte Version, Digest Digest)
{
    /// <summary>Length in bytes: the version, then the digest.</summary>
    public const int Size = 1 + Digest.Size;

    /// <summary>Reads what <see cref="ToArray"/> writes.</summary>
    /// <exception cref="FormatException"><paramref name="bytes"/> is not 33 bytes long.</exception>
    public static Fingerprint From(ReadOnlySpan<byte> bytes) =>
        bytes.Length == Size
            ? new Fingerprint(bytes[0], Digest.From(bytes[1..]))
            : throw new RecordFormatException($"a fingerprint is {Size} bytes, not {bytes.Length}");

    /// <summary>The 33 bytes.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        bytes[0] = Version;
        Digest.WriteTo(bytes.AsSpan(1));
        return bytes;
    }
}
