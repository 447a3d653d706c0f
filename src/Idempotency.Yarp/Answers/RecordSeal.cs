using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Idempotency.Yarp;

/// <summary>
/// Reads and writes recorded answers, sealed with AES-256-GCM when there is a key ring. Whoever can write to the store can then neither
/// read an answer, nor edit it, nor move it under another key.
/// <code>
///   0         1           2         2+n      14+n                         -16
///   +---------+-----------+---------+--------+---------------------------+---------+
///   | version | length of | key id  | nonce  | RecordFormat, encrypted   | tag     |
///   | = 0xE1  | key id, n | (n)     | (12)   |                           | (16)    |
///   +---------+-----------+---------+--------+---------------------------+---------+
///   associated data: all before the nonce, then the record's id (32)
/// </code>
/// </summary>
internal sealed class RecordSeal(IdempotencySettings settings)
{
    private const byte Version = 0xE1;

    private readonly EncryptionSettings? _ring = settings.Encryption;

    public byte[] Write(RecordId id, StoredResponse response)
    {
        var plain = RecordFormat.Write(id, response);
        if (_ring is null)
        {
            return plain;
        }

        var prefixSize = 2 + _ring.ActiveKey.Length;
        var bytes = new byte[prefixSize + plain.Length + SealedBox.Overhead];
        bytes[0] = Version;
        bytes[1] = (byte)_ring.ActiveKey.Length;
        Encoding.ASCII.GetBytes(_ring.ActiveKey, bytes.AsSpan(2));
        SealedBox.Seal(_ring.Keys[_ring.ActiveKey], plain, AssociatedData(bytes.AsSpan(0, prefixSize), id), bytes.AsSpan(prefixSize));
        return bytes;
    }

    /// <summary>Never throws on any bytes.</summary>
    public RecordParse TryRead(RecordId id, ReadOnlyMemory<byte> bytes, out StoredResponse response)
    {
        var span = bytes.Span;
        if (span.Length == 0 || span[0] != Version)
        {
            response = null!;
            // With a key ring, an answer that is not sealed is one that somebody else may have written.
            return _ring is null or { AcceptUnsealed: true } ? RecordFormat.TryRead(id, bytes, out response) : RecordParse.NotSealed;
        }

        response = null!;
        var prefixSize = span.Length < 2 ? 0 : 2 + span[1];
        if (prefixSize == 0 || span.Length < prefixSize + SealedBox.Overhead)
        {
            return RecordParse.Corrupt;
        }

        if (_ring is null || !_ring.Keys.TryGetValue(Encoding.ASCII.GetString(span[2..prefixSize]), out var key))
        {
            return RecordParse.UnknownKey;
        }

        return SealedBox.TryOpen(key, span[prefixSize..], AssociatedData(span[..prefixSize], id)) is { } plain
            ? RecordFormat.TryRead(id, plain, out response)
            : RecordParse.Forged;
    }

    private static byte[] AssociatedData(ReadOnlySpan<byte> prefix, RecordId id)
    {
        var data = new byte[prefix.Length + Digest.Size];
        prefix.CopyTo(data);
        id.Digest.WriteTo(data.AsSpan(prefix.Length));
        return data;
    }
}
