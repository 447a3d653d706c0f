using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>
/// Hashes a sequence of fields so that no two sequences meet: each field is preceded by its length, <c>("ab","c")</c> differs from
/// <c>("a","bc")</c>. Text is hashed as UTF-8.
/// </summary>
/// <param name="initial">Where fields are gathered.</param>
/// <param name="sink">SHA-256, for more than that: what does not fit goes there, instead of growing. Null where little is hashed.</param>
internal ref struct FieldHash(Span<byte> initial, IncrementalHash? sink = null)
{
    private Span<byte> _buffer = initial;
    private byte[]? _rented;
    private int _length;

    public void Add(ReadOnlySpan<char> text)
    {
        var bytes = Encoding.UTF8.GetByteCount(text);
        var field = Reserve(bytes);
        Encoding.UTF8.GetBytes(text, field);
    }

    public void Add(in Digest digest) => digest.WriteTo(Reserve(Digest.Size));

    public void Add(int number) => BinaryPrimitives.WriteInt32BigEndian(Reserve(4), number);

    /// <summary>SHA-256 of the fields; the instance is done.</summary>
    public Digest Sha256()
    {
        Span<byte> hash = stackalloc byte[Digest.Size];
        if (sink is null)
        {
            SHA256.HashData(_buffer[.._length], hash);
        }
        else
        {
            sink.AppendData(_buffer[.._length]);
            sink.GetHashAndReset(hash);
        }

        return Finish(hash);
    }

    /// <summary>HMAC-SHA256 of the fields; the instance is done.</summary>
    public Digest HmacSha256(ReadOnlySpan<byte> secret)
    {
        Span<byte> hash = stackalloc byte[Digest.Size];
        HMACSHA256.HashData(secret, _buffer[.._length], hash);
        return Finish(hash);
    }

    private Digest Finish(scoped ReadOnlySpan<byte> hash)
    {
        if (_rented is not null)
        {
            // It may hold a credential.
            ArrayPool<byte>.Shared.Return(_rented, clearArray: true);
            _rented = null;
        }

        return Digest.From(hash);
    }

    private Span<byte> Reserve(int size)
    {
        var needed = _length + 4 + size;
        if (sink is not null && needed > _buffer.Length)
        {
            sink.AppendData(_buffer[.._length]);
            _length = 0;
            needed = 4 + size;
        }

        if (needed > _buffer.Length)
        {
            var larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, 2 * _buffer.Length));
            _buffer[.._length].CopyTo(larger);
            if (_rented is not null)
            {
                ArrayPool<byte>.Shared.Return(_rented, clearArray: true);
            }

            _buffer = _rented = larger;
        }

        BinaryPrimitives.WriteInt32BigEndian(_buffer[_length..], size);
        var field = _buffer.Slice(_length + 4, size);
        _length = needed;
        return field;
    }
}
