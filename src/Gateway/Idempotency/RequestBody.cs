using System.Buffers;
using System.Security.Cryptography;
using Gateway.Storage;

namespace Gateway.Idempotency;

/// <summary>The whole request body, hashed, and readable again by the forwarder. Disposal gives its memory and its file back.</summary>
internal sealed class RequestBody : IAsyncDisposable
{
    private readonly HttpRequest _request;
    private readonly Stream _original;
    private readonly BufferBudget _budget;
    private readonly long _room;
    private byte[] _rented = [];

    /// <param name="request">Its body is replaced until disposal.</param>
    /// <param name="budget">Where the room was taken from.</param>
    /// <param name="room">In bytes.</param>
    public RequestBody(HttpRequest request, BufferBudget budget, long room)
    {
        (_request, _original, _budget, _room) = (request, request.Body, budget, room);
        Digest = Digest.From(SHA256.HashData([]));
    }

    /// <summary>SHA-256 of the bytes.</summary>
    public Digest Digest { get; private set; }

    /// <summary>All bytes, for a body that is held in memory; empty for one that went through a file.</summary>
    public ReadOnlyMemory<byte> Bytes { get; private set; }

    /// <summary>A pooled buffer that lives as long as the body.</summary>
    public byte[] Rent(int length) => _rented = ArrayPool<byte>.Shared.Rent(length);

    /// <summary>Puts the first bytes of the buffer in the place of the request's body.</summary>
    public void UseBuffer(int length)
    {
        Bytes = _rented.AsMemory(0, length);
        Digest = Digest.From(SHA256.HashData(Bytes.Span));
        _request.Body = new MemoryStream(_rented, 0, length, writable: false);
    }

    /// <summary>Puts a stream in the place of the request's, to be read from its beginning.</summary>
    public void UseStream(Stream replacement, in Digest digest)
    {
        _request.Body = replacement;
        Digest = digest;
    }

    /// <summary>Reads the body once more, before it is forwarded.</summary>
    public async Task<T> ReadAgainAsync<T>(Func<Stream, Task<T>> read)
    {
        if (ReferenceEquals(_request.Body, _original))
        {
            return await read(Stream.Null); // there was none, and nothing was put in its place
        }

        try
        {
            return await read(_request.Body);
        }
        finally
        {
            _request.Body.Position = 0;
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            if (!ReferenceEquals(_request.Body, _original))
            {
                await _request.Body.DisposeAsync();
                _request.Body = _original;
            }
        }
        catch (IOException)
        {
            // A temporary file on a full disk writes its last bytes in vain; it is gone all the same.
        }
        finally
        {
            if (_rented.Length > 0)
            {
                ArrayPool<byte>.Shared.Return(_rented);
                _rented = [];
            }

            _budget.Return(_room);
        }
    }
}
