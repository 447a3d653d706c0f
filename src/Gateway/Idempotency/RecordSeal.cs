using System.Security.Cryptography;
using System.Text;
using Gateway.Configuration;
using Gateway.Storage;

namespace Gateway.Idempotency;

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
/// Nonces are random: one key is good for 2^32 answers (NIST SP 800-38D, section 8.3).
/// </summary>
internal sealed class RecordSeal(GatewaySettings settings)
{
    private const byte Version = 0xE1;
    private const int NonceSize = 12;
    private const int TagSize = 16;

    private readonly EncryptionSettings? _ring = settings.Encryption;

    public byte[] Write(RecordId id, StoredResponse response)
    {
        var plain = RecordFormat.Write(id, response);
        if (_ring is null)
        {
            return plain;
        }

        var prefixSize = 2 + _ring.ActiveKey.Length;
        var bytes = new byte[prefixSize + NonceSize + plain.Length + TagSize];
        bytes[0] = Version;
        bytes[1] = (byte)_ring.ActiveKey.Length;
        Encoding.ASCII.GetBytes(_ring.ActiveKey, bytes.AsSpan(2));
        var nonce = bytes.AsSpan(prefixSize, NonceSize);
        RandomNumberGenerator.Fill(nonce);
        using var aes = new AesGcm(_ring.Keys[_ring.ActiveKey], TagSize);
        aes.Encrypt(nonce, plain, bytes.AsSpan(prefixSize + NonceSize, plain.Length), bytes.AsSpan(bytes.Length - TagSize), AssociatedData(bytes.AsSpan(0, prefixSize), id));
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
        var plainSize = span.Length - prefixSize - NonceSize - TagSize;
        if (prefixSize == 0 || plainSize < 0)
        {
            return RecordParse.Corrupt;
        }

        if (_ring is null || !_ring.Keys.TryGetValue(Encoding.ASCII.GetString(span[2..prefixSize]), out var key))
        {
            return RecordParse.UnknownKey;
        }

        var plain = new byte[plainSize];
        using var aes = new AesGcm(key, TagSize);
        try
        {
            var sealedText = span.Slice(prefixSize + NonceSize, plainSize);
            aes.Decrypt(span.Slice(prefixSize, NonceSize), sealedText, span[^TagSize..], plain, AssociatedData(span[..prefixSize], id));
        }
        catch (AuthenticationTagMismatchException)
        {
            return RecordParse.Forged;
        }

        return RecordFormat.TryRead(id, plain, out response);
    }

    private static byte[] AssociatedData(ReadOnlySpan<byte> prefix, RecordId id)
    {
        var data = new byte[prefix.Length + Digest.Size];
        prefix.CopyTo(data);
        id.Digest.WriteTo(data.AsSpan(prefix.Length));
        return data;
    }
}
