using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// Writes and checks bodies that are kept apart from their records, sealed as the records are (<see cref="RecordSeal"/>).
/// <code>
///   plain:   version (1) = 0, body
///   sealed:  version (1) = 0xE1, length n of key id (1), key id (n), nonce (12), body, encrypted, tag (16)
///            associated data: all before the nonce, then the record's id (32), the owner's token (16), the body's length (4)
/// </code>
/// </summary>
internal sealed class BodySeal(IdempotencySettings settings)
{
    private const byte Plain = 0;
    private const byte Sealed = 0xE1;

    private readonly EncryptionSettings? _ring = settings.Encryption;

    /// <summary>How long the value of a body is, in bytes.</summary>
    public int SizeOf(int bodyLength) => bodyLength + (_ring is null ? 1 : 2 + _ring.ActiveKey.Length + SealedBox.Overhead);

    public byte[] Write(RecordId id, in BodyReference reference, ReadOnlySpan<byte> body)
    {
        var value = new byte[SizeOf(body.Length)];
        if (_ring is null)
        {
            value[0] = Plain;
            body.CopyTo(value.AsSpan(1));
            return value;
        }

        var prefixSize = 2 + _ring.ActiveKey.Length;
        value[0] = Sealed;
        value[1] = (byte)_ring.ActiveKey.Length;
        Encoding.ASCII.GetBytes(_ring.ActiveKey, value.AsSpan(2));
        SealedBox.Seal(_ring.Keys[_ring.ActiveKey], body, AssociatedData(value.AsSpan(0, prefixSize), id, reference), value.AsSpan(prefixSize));
        return value;
    }

    /// <summary>Never throws on any bytes.</summary>
    /// <returns>False when it is not, byte for byte, what the record refers to.</returns>
    public bool TryRead(RecordId id, in BodyReference reference, byte[] value, out ReadOnlyMemory<byte> body) =>
        TryOpen(id, reference, value, out body) && body.Length == reference.Length && HashOf(body.Span) == reference.Hash;

    public static Digest HashOf(ReadOnlySpan<byte> body)
    {
        Span<byte> hash = stackalloc byte[Digest.Size];
        SHA256.HashData(body, hash);
        return Digest.From(hash);
    }

    private bool TryOpen(RecordId id, in BodyReference reference, byte[] value, out ReadOnlyMemory<byte> body)
    {
        body = default;
        switch (value)
        {
            // With a key ring, a body that is not sealed is one that somebody else may have written.
            case [Plain, ..] when _ring is null or { AcceptUnsealed: true }:
                body = value.AsMemory(1);
                return true;
            case [Sealed, var idLength, ..] when value.Length >= 2 + idLength && _ring is not null:
                var prefix = value.AsSpan(0, 2 + idLength);
                if (_ring.Keys.TryGetValue(Encoding.ASCII.GetString(prefix[2..]), out var key)
                    && SealedBox.TryOpen(key, value.AsSpan(prefix.Length), AssociatedData(prefix, id, reference)) is { } opened)
                {
                    body = opened;
                    return true;
                }

                return false;
            default:
                return false;
        }
    }

    private static byte[] AssociatedData(ReadOnlySpan<byte> prefix, RecordId id, in BodyReference reference)
    {
        var data = new byte[prefix.Length + Digest.Size + ClaimToken.Size + sizeof(int)];
        prefix.CopyTo(data);
        var rest = data.AsSpan(prefix.Length);
        id.Digest.WriteTo(rest);
        reference.Token.ToArray().CopyTo(rest[Digest.Size..]);
        BinaryPrimitives.WriteInt32BigEndian(rest[(Digest.Size + ClaimToken.Size)..], reference.Length);
        return data;
    }
}
