namespace Idempotency.Storage;

/// <summary>
/// What a key was first used for: a digest of the parts of the request that make it the same request. The algorithm's version
/// travels with it, so that a later release can recompute an older fingerprint instead of taking every replay for a mismatch.
/// </summary>
internal readonly record struct Fingerprint(byte Version, Digest Digest)
{
    /// <summary>Length in a store, in bytes: the version, then the digest.</summary>
    public const int Size = 1 + Digest.Size;

    /// <exception cref="RecordFormatException"><paramref name="bytes"/> is not a fingerprint.</exception>
    public static Fingerprint From(ReadOnlySpan<byte> bytes) =>
        bytes.Length == Size
            ? new Fingerprint(bytes[0], Digest.From(bytes[1..]))
            : throw new RecordFormatException($"a fingerprint is {Size} bytes, not {bytes.Length}");

    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        bytes[0] = Version;
        Digest.WriteTo(bytes.AsSpan(1));
        return bytes;
    }
}
