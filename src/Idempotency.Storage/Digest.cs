using System.Buffers.Binary;

namespace Idempotency.Storage;

/// <summary>The 32 bytes of a SHA-256 or HMAC-SHA256 (FIPS 180-4, RFC 2104) as a value: comparable, and usable as a dictionary key without an array.</summary>
public readonly record struct Digest
{
    /// <summary>Length in bytes.</summary>
    public const int Size = 32;

    internal Digest(ulong a, ulong b, ulong c, ulong d) => (A, B, C, D) = (a, b, c, d);

    // Big-endian, from the first byte to the last.
    internal ulong A { get; init; }

    internal ulong B { get; init; }

    internal ulong C { get; init; }

    internal ulong D { get; init; }

    /// <summary>Reads what <see cref="ToArray"/> and <see cref="WriteTo"/> write.</summary>
    /// <exception cref="ArgumentException"><paramref name="bytes"/> is not 32 bytes long.</exception>
    public static Digest From(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size)
        {
            throw new ArgumentException($"A digest is {Size} bytes, not {bytes.Length}.", nameof(bytes));
        }

        return new Digest(
            BinaryPrimitives.ReadUInt64BigEndian(bytes),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
            BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]));
    }

    /// <summary>Writes the 32 bytes.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="destination"/> is shorter.</exception>
    public void WriteTo(Span<byte> destination)
    {
        BinaryPrimitives.WriteUInt64BigEndian(destination, A);
        BinaryPrimitives.WriteUInt64BigEndian(destination[8..], B);
        BinaryPrimitives.WriteUInt64BigEndian(destination[16..], C);
        BinaryPrimitives.WriteUInt64BigEndian(destination[24..], D);
    }

    /// <summary>The 32 bytes.</summary>
    public byte[] ToArray()
    {
        var bytes = new byte[Size];
        WriteTo(bytes);
        return bytes;
    }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString() => Convert.ToHexStringLower(ToArray());
}
