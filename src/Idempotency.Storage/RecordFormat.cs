using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Idempotency.Storage;

/// <summary>How a parse of record bytes ended.</summary>
internal enum RecordParse
{
    Ok,

    /// <summary>Written by a release that this one does not know.</summary>
    UnknownVersion,

    /// <summary>Cut short, damaged (checksum), or not a record at all.</summary>
    Corrupt,

    /// <summary>A good record of another key: the store mixed up its replies.</summary>
    WrongRecord,

    /// <summary>Sealed with a key that is not on this instance's ring.</summary>
    UnknownKey,

    /// <summary>Sealed, and edited since, or moved under another key.</summary>
    Forged,

    /// <summary>Not sealed, where all answers are.</summary>
    NotSealed,
}

/// <summary>
/// The bytes of a settled answer, the same in every store. Integers big-endian, text Latin-1:
/// <code>
///   0        1        2                4                                12
///   +--------+--------+----------------+--------------------------------+---------+
///   | version| tomb-  | status         | first 8 bytes of the record id | header  |
///   |        | stone  | (2)            | (8)                            | count(2)|
///   +--------+--------+----------------+--------------------------------+---------+
///   then for each header field line:  name length (2), name, value length (4), value
///   then, in version 1:               body length (4), body
///   then, in version 2:               body length (4), SHA-256 of the body (32), owner's token (16)
///   then:                             CRC-32 of all bytes before it (4)
/// </code>
/// Version 2 is an answer whose body is kept apart; all others are written as version 1, which releases before it can read.
/// The id makes a record self-identifying: an answer that belongs to another key is never used, whatever the store's client mixed up.
/// </summary>
internal static class RecordFormat
{
    public const byte Version = 1;
    public const byte VersionApart = 2;
    private const int FixedSize = 14;
    private const int LengthSize = 4;
    private const int ReferenceSize = LengthSize + Digest.Size + ClaimToken.Size;
    private const int ChecksumSize = 4;

    public static byte[] Write(RecordId id, StoredResponse response)
    {
        var size = FixedSize + (response.Apart is null ? LengthSize + response.Body.Length : ReferenceSize) + ChecksumSize;
        foreach (var (name, value) in response.Headers)
        {
            size += 2 + name.Length + 4 + value.Length;
        }

        var bytes = new byte[size];
        bytes[0] = response.Apart is null ? Version : VersionApart;
        bytes[1] = (byte)response.Tombstone;
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(2), (ushort)response.Status);
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(4), id.Digest.A);
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(12), (ushort)response.Headers.Count);
        var rest = bytes.AsSpan(FixedSize);
        foreach (var (name, value) in response.Headers)
        {
            BinaryPrimitives.WriteUInt16BigEndian(rest, (ushort)name.Length);
            Encoding.Latin1.GetBytes(name, rest[2..]);
            rest = rest[(2 + name.Length)..];
            BinaryPrimitives.WriteInt32BigEndian(rest, value.Length);
            Encoding.Latin1.GetBytes(value, rest[4..]);
            rest = rest[(4 + value.Length)..];
        }

        if (response.Apart is { } apart)
        {
            BinaryPrimitives.WriteInt32BigEndian(rest, apart.Length);
            apart.Hash.WriteTo(rest[LengthSize..]);
            apart.Token.ToArray().CopyTo(rest[(LengthSize + Digest.Size)..]);
        }
        else
        {
            BinaryPrimitives.WriteInt32BigEndian(rest, response.Body.Length);
            response.Body.Span.CopyTo(rest[LengthSize..]);
        }

        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(size - ChecksumSize), Crc32.HashToUInt32(bytes.AsSpan(0, size - ChecksumSize)));
        return bytes;
    }

    /// <summary>Reads a record without copying its body. Never throws on any bytes.</summary>
    public static RecordParse TryRead(RecordId id, ReadOnlyMemory<byte> bytes, out StoredResponse response)
    {
        response = null!;
        var span = bytes.Span;
        if (span.Length > 0 && span[0] is not (Version or VersionApart))
        {
            return RecordParse.UnknownVersion;
        }

        if (span.Length < FixedSize + 4 + ChecksumSize
            || BinaryPrimitives.ReadUInt32BigEndian(span[^ChecksumSize..]) != Crc32.HashToUInt32(span[..^ChecksumSize]))
        {
            return RecordParse.Corrupt;
        }

        if (BinaryPrimitives.ReadUInt64BigEndian(span[4..]) != id.Digest.A)
        {
            return RecordParse.WrongRecord;
        }

        var reader = new Reader(span[FixedSize..^ChecksumSize]);
        var headers = new KeyValuePair<string, string>[BinaryPrimitives.ReadUInt16BigEndian(span[12..])];
        for (var i = 0; i < headers.Length; i++)
        {
            if (!reader.TryReadText(lengthSize: 2, out var name) || !reader.TryReadText(lengthSize: 4, out var value))
            {
                return RecordParse.Corrupt;
            }

            headers[i] = new(name, value);
        }

        if (span[0] == VersionApart)
        {
            return TryReadReference(reader.Rest, (TombstoneReason)span[1], out var apart)
                ? Found(span, headers, body: default, apart, out response)
                : RecordParse.Corrupt;
        }

        if (!reader.TryReadLength(LengthSize, out var bodyLength) || bodyLength != reader.Rest.Length || span[1] > (byte)TombstoneReason.NoRoom)
        {
            return RecordParse.Corrupt;
        }

        var body = bytes.Slice(bytes.Length - ChecksumSize - bodyLength, bodyLength);
        return Found(span, headers, body, apart: null, out response);
    }

    private static RecordParse Found(
        ReadOnlySpan<byte> span, KeyValuePair<string, string>[] headers, ReadOnlyMemory<byte> body, BodyReference? apart, out StoredResponse response)
    {
        response = new StoredResponse(BinaryPrimitives.ReadUInt16BigEndian(span[2..]), headers, body, (TombstoneReason)span[1], apart);
        return RecordParse.Ok;
    }

    private static bool TryReadReference(ReadOnlySpan<byte> rest, TombstoneReason tombstone, out BodyReference? apart)
    {
        apart = null;
        if (tombstone != TombstoneReason.None || rest.Length != ReferenceSize || BinaryPrimitives.ReadInt32BigEndian(rest) is not (>= 0 and var length))
        {
            return false;
        }

        apart = new BodyReference(
            ClaimToken.From(rest[(LengthSize + Digest.Size)..]), length, Digest.From(rest.Slice(LengthSize, Digest.Size)));
        return true;
    }

    private ref struct Reader(ReadOnlySpan<byte> rest)
    {
        public ReadOnlySpan<byte> Rest { get; private set; } = rest;

        public bool TryReadLength(int lengthSize, out int length)
        {
            length = 0;
            if (Rest.Length < lengthSize)
            {
                return false;
            }

            length = lengthSize == 2 ? BinaryPrimitives.ReadUInt16BigEndian(Rest) : BinaryPrimitives.ReadInt32BigEndian(Rest);
            Rest = Rest[lengthSize..];
            return length >= 0 && length <= Rest.Length;
        }

        public bool TryReadText(int lengthSize, out string text)
        {
            text = "";
            if (!TryReadLength(lengthSize, out var length))
            {
                return false;
            }

            text = Encoding.Latin1.GetString(Rest[..length]);
            Rest = Rest[length..];
            return true;
        }
    }
}
