using System.Buffers;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http.Features;

namespace Idempotency.Yarp;

/// <summary>
/// Stands in for the response body while the request is forwarded: keeps the answer back until it is settled. An answer that cannot be
/// kept (too large, a stream) is settled as a tombstone at that moment, and from then on passed through to the client. A streamed answer
/// is given to the client as it comes, and kept beside that until then.
/// </summary>
/// <param name="context">The request; its response headers are looked at when the first byte arrives.</param>
/// <param name="inner">The client's side.</param>
/// <param name="isStreamed">The client gets every byte as it comes.</param>
/// <param name="maxBytes">The largest body that is kept.</param>
/// <param name="budget">What all answers share.</param>
/// <param name="settleTombstone">Settles the key of an answer that is not kept; unless it is streamed, before its first byte reaches the client.</param>
/// <param name="isOver">Whether an answer that is passed through has nobody any more who reads it, or waits for its end: the key is settled.</param>
internal sealed class ResponseCapture(
    HttpContext context,
    IHttpResponseBodyFeature inner,
    bool isStreamed,
    long maxBytes,
    BufferBudget budget,
    Func<TombstoneReason, ValueTask> settleTombstone,
    Func<bool> isOver)
    : WriteOnlyBody(inner)
{
    private byte[] _buffer = [];
    private int _length;
    private bool _started;

    /// <summary>The answer is settled as a tombstone and reaches the client as it comes.</summary>
    public bool IsPassedThrough { get; private set; }

    /// <summary>What was captured; valid until disposal, empty when passed through.</summary>
    public ReadOnlyMemory<byte> Body => _buffer.AsMemory(0, _length);

    public override void DisableBuffering()
    {
    }

    public override Task StartAsync(CancellationToken cancellationToken = default) => IsOpen ? Inner.StartAsync(cancellationToken) : Task.CompletedTask;

    public override async Task CompleteAsync()
    {
        await base.CompleteAsync();
        if (IsPassedThrough)
        {
            await Inner.CompleteAsync();
        }
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (IsPassedThrough)
        {
            return isOver() ? throw new OperationCanceledException("nobody reads the answer any more") : Inner.Stream.WriteAsync(buffer, cancellationToken);
        }

        if (ReasonToPassThrough(buffer.Length) is var reason and not TombstoneReason.None)
        {
            return PassThroughAsync(reason, buffer, cancellationToken);
        }

        Append(buffer);
        TestHooks.CrashPoint("P4");
        return isStreamed ? Inner.Stream.WriteAsync(buffer, cancellationToken) : default;
    }

    /// <summary>Of a stream, before its first byte: that it began is news already.</summary>
    public override Task FlushAsync(CancellationToken cancellationToken) =>
        IsOpen ? Inner.Stream.FlushAsync(cancellationToken)
        : !_started && IsEventStream ? PassThroughAsync(TombstoneReason.Stream, default, cancellationToken).AsTask()
        : Task.CompletedTask;

    protected override void Dispose(bool disposing)
    {
        Discard();
        base.Dispose(disposing);
    }

    /// <summary>Whether bytes reach the client now.</summary>
    private bool IsOpen => isStreamed || IsPassedThrough;

    private bool IsEventStream => context.Response.ContentType?.StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase) is true;

    private TombstoneReason ReasonToPassThrough(int count)
    {
        if (!_started)
        {
            _started = true;
            if (!isStreamed && IsEventStream)
            {
                return TombstoneReason.Stream;
            }

            if (context.Response.ContentLength > maxBytes)
            {
                return TombstoneReason.TooLarge;
            }
        }

        return _length + (long)count > maxBytes ? TombstoneReason.TooLarge
            : TryMakeRoom(_length + count) ? TombstoneReason.None
            : TombstoneReason.NoRoom;
    }

    private async ValueTask PassThroughAsync(TombstoneReason reason, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        await settleTombstone(reason);
        IsPassedThrough = true;
        if (!isStreamed)
        {
            await Inner.Stream.WriteAsync(Body, cancellationToken);
        }

        Discard();
        await Inner.Stream.WriteAsync(buffer, cancellationToken);
        await Inner.Stream.FlushAsync(cancellationToken);
    }

    /// <summary>Into the room that was made for it.</summary>
    private void Append(ReadOnlyMemory<byte> buffer)
    {
        buffer.CopyTo(_buffer.AsMemory(_length));
        _length += buffer.Length;
    }

    /// <returns>False when the budget is used up.</returns>
    private bool TryMakeRoom(int needed)
    {
        if (needed <= _buffer.Length)
        {
            return true;
        }

        var expected = _length == 0 && context.Response.ContentLength is { } length ? (int)length : 2 * _buffer.Length;
        var larger = ArrayPool<byte>.Shared.Rent(Math.Max(needed, expected));
        if (!budget.TryTakeForAnswer(larger.Length))
        {
            ArrayPool<byte>.Shared.Return(larger);
            return false;
        }

        var kept = _length;
        Body.CopyTo(larger);
        Discard();
        (_buffer, _length) = (larger, kept);
        return true;
    }

    private void Discard()
    {
        if (_buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            budget.Return(_buffer.Length);
            (_buffer, _length) = ([], 0);
        }
    }
}
