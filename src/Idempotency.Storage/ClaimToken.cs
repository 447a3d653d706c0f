namespace Idempotency.Storage;

/// <summary>
/// Proves ownership of a claim: random, made once per claim (RFC 9562, version 4). Every write of a store compares it first; it is no fencing token, because it
/// has no order.
/// </summary>
/// <param name="Value">The 128 bits.</param>
public readonly record struct ClaimToken(Guid Value)
{
    /// <summary>Length in bytes.</summary>
    public const int Size = 16;

    internal static ClaimToken Create() => new(Guid.NewGuid());

    /// <summary>Reads what <see cref="ToArray"/> writes.</summary>
    /// <exception cref="ArgumentException"><paramref name="bytes"/> is not 16 bytes long.</exception>
    public static ClaimToken From(ReadOnlySpan<byte> bytes) => new(new Guid(bytes, bigEndian: true));

    /// <summary>The 16 bytes in the order of its text (big-endian, RFC 9562, section 4).</summary>
    public byte[] ToArray() => Value.ToByteArray(bigEndian: true);
}
