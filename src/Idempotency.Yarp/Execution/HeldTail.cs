using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

/// <summary>
/// Keeps the end of an answer back while a lock is held: a client that has its whole answer may come again at once, at another instance, and must not
/// find the lock taken by its own last request. The end is the last byte of an answer that says its length, else the mark of the end itself.
/// Everything before goes out as it comes.
/// </summary>
/// <param name="response">The answer; its fields are looked at when the first byte comes.</param>
/// <param name="inner">The client's side.</param>
internal sealed class HeldTail(HttpResponse response, IHttpResponseBodyFeature inner) : WriteOnlyBody(inner)
{
    private long _left = -1;
    private byte[] _tail = [];

    /// <summary>Gives the rest: the lock is free, or left to its lease.</summary>
    public async Task ReleaseAsync()
    {
        await CompleteAsync();
        if (_tail.Length > 0)
        {
            await Inner.Stream.WriteAsync(_tail);
            _tail = [];
        }
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_left < 0)
        {
            _left = response.ContentLength ?? long.MaxValue;
        }

        _left -= buffer.Length;
        if (_left > 0 || buffer.IsEmpty)
        {
            return Inner.Stream.WriteAsync(buffer, cancellationToken);
        }

        _tail = buffer[^1..].ToArray();
        return Inner.Stream.WriteAsync(buffer[..^1], cancellationToken);
    }
}
