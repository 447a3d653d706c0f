using System.Buffers;
using System.Security.Cryptography;
using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>The whole request body, hashed, and readable again by the forwarder. Disposal gives its memory and its file back.</summary>
internal sealed class RequestBody : IAsyncDisposable
{
    private readonly HttpRequest _request;
    private readonly Stream _original;
    private readonly BufferBudget _budget;
    private string? _caller;
    private long _room;
    private byte[] _rented = [];

    /// <param name="request">Its body is replaced until disposal.</param>
    /// <param name="budget">Where room is taken from.</param>
    public RequestBody(HttpRequest request, BufferBudget budget)
    {
        (_request, _original, _budget) = (request, request.Body, budget);
        Digest = Digest.From(SHA256.HashData([]));
    }

    /// <summary>SHA-256 of the bytes.</summary>
    public Digest Digest { get; private set; }

    /// <summary>All bytes, for a body that is held in memory; empty for one that went through a file.</summary>
    public ReadOnlyMemory<byte> Bytes { get; private set; }

    /// <summary>A pooled buffer that lives as long as the body.</summary>
    public Memory<byte> Buffer => _rented;

    /// <summary>Takes room for so many bytes beside the buffer.</summary>
    /// <returns>False when there is none.</returns>
    public bool TryHold(long bytes)
    {
        // The same when room is given back, whatever became of the fields by then.
        var caller = _caller ?? (_room + bytes > BufferBudget.SmallRequest ? CallerOf() : null);
        if (!_budget.TryTakeForRequest(bytes, _room, caller))
        {
            return false;
        }

        _room += bytes;
        _caller = caller;
        return true;
    }

    /// <summary>Makes the buffer at least as large, and keeps what is in it.</summary>
    /// <returns>False when there is no room.</returns>
    public bool TryGrow(int size)
    {
        var larger = ArrayPool<byte>.Shared.Rent(size);
        if (!TryHold(larger.Length - _rented.Length))
        {
            ArrayPool<byte>.Shared.Return(larger);
            return false;
        }

        _rented.CopyTo(larger, 0);
        ReturnBuffer();
        _rented = larger;
        return true;
    }

    /// <summary>Puts the first bytes of the buffer in the place of the request's body.</summary>
    public void UseBuffer(int length)
    {
        Bytes = _rented.AsMemory(0, length);
        Digest = Digest.From(SHA256.HashData(Bytes.Span));
        _request.Body = new MemoryStream(_rented, 0, length, writable: false);
    }

    /// <summary>Puts the first bytes of the buffer, and then what was not read yet, in the place of the request's body. To be read once.</summary>
    public Stream UseRest(int length) => _request.Body = new PrefixedBody(_rented.AsMemory(0, length), _original);

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
            ReturnBuffer();
            _budget.ReturnOfRequest(_room, _caller);
            _room = 0;
        }
    }

    private void ReturnBuffer()
    {
        if (_rented.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_rented);
            _rented = [];
        }
    }

    /// <summary>By the first credential that it has, else by address.</summary>
    private string CallerOf()
    {
        foreach (var field in Selector.CredentialFields)
        {
            if (_request.Headers[field.Name] is { Count: > 0 } values)
            {
                return $"{field.Name}: {values}";
            }
        }

        return _request.HttpContext.Connection.RemoteIpAddress?.ToString() ?? "";
    }
}
