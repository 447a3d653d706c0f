using System.Buffers;
using System.IO.Pipelines;
using Gateway.Storage;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.Idempotency;

/// <summary>
/// Stands in for the response body while the request is forwarded: keeps the answer back until it is settled. An answer that cannot be
/// kept (too large, a stream) is settled as a tombstone at that moment, and from then on passed through to the client. A streamed answer
/// is given to the client as it comes, and kept beside that for as long as it can be.
/// </summary>
/// <param name="context">The request; its response headers are looked at when the first byte arrives.</param>
/// <param name="inner">The client's side.</param>
/// <param name="maxBytes">The largest body that is kept.</param>
/// <param name="budget">What all answers share.</param>
/// <param name="settleTombstone">Settles the key before the first byte of an answer that is not kept reaches the client; null for a streamed answer.</param>
/// <param name="clientAborted">Ends an answer that is passed through: it is settled, and nobody reads it any more.</param>
internal sealed class ResponseCapture(
    HttpContext context,
    IHttpResponseBodyFeature inner,
    long maxBytes,
    BufferBudget budget,
    Func<TombstoneReason, ValueTask>? settleTombstone,
    CancellationToken clientAborted)
    : Stream, IHttpResponseBodyFeature, IDisposable
{
    private byte[] _buffer = [];
    private int _length;
    private bool _started;
    private PipeWriter? _writer;

    /// <summary>The answer is settled as a tombstone and reaches the client as it comes.</summary>
    public bool IsPassedThrough { get; private set; }

    /// <summary>The client gets every byte as it comes.</summary>
    public bool IsStreamed => settleTombstone is null;

    /// <summary>Why the whole of a streamed answer was not kept.</summary>
    public TombstoneReason NotKept { get; private set; }

    /// <summary>A streamed answer was not followed to its end, because nobody reads it any more and it is not kept.</summary>
    public bool IsGivenUp { get; private set; }

    /// <summary>What was captured; valid until disposal, empty when passed through.</summary>
    public ReadOnlyMemory<byte> Body => _buffer.AsMemory(0, _length);

    public Stream Stream => this;

    public PipeWriter Writer => _writer ??= PipeWriter.Create(this, new StreamPipeWriterOptions(leaveOpen: true));

    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>What of a streamed answer was held back until a lock was free.</summary>
    public Task GiveRestAsync() => inner is HeldTail tail && !clientAborted.IsCancellationRequested ? tail.ReleaseAsync() : Task.CompletedTask;

    public void DisableBuffering()
    {
    }

    public Task StartAsync(CancellationToken cancellationToken = default) => IsOpen ? inner.StartAsync(cancellationToken) : Task.CompletedTask;

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
        SendFileFallback.SendFileAsync(this, path, offset, count, cancellationToken);

    public async Task CompleteAsync()
    {
        if (_writer is not null)
        {
            await _writer.FlushAsync();
        }

        if (IsPassedThrough)
        {
            await inner.CompleteAsync();
        }
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (IsStreamed)
        {
            return StreamAsync(buffer, cancellationToken);
        }

        if (IsPassedThrough)
        {
            clientAborted.ThrowIfCancellationRequested();
            return inner.Stream.WriteAsync(buffer, cancellationToken);
        }

        if (ReasonNotToKeep(buffer.Length) is var reason and not TombstoneReason.None)
        {
            return PassThroughAsync(reason, buffer, cancellationToken);
        }

        Append(buffer);
        TestHooks.CrashPoint("P4");
        return default;
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("The response body is written asynchronously.");

    /// <summary>Of a stream, before its first byte: that it began is news already.</summary>
    public override Task FlushAsync(CancellationToken cancellationToken) =>
        IsOpen ? inner.Stream.FlushAsync(cancellationToken)
        : !_started && IsEventStream ? PassThroughAsync(TombstoneReason.Stream, default, cancellationToken).AsTask()
        : Task.CompletedTask;

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        Discard();
        base.Dispose(disposing);
    }

    /// <summary>Whether bytes reach the client now.</summary>
    private bool IsOpen => IsStreamed || IsPassedThrough;

    private bool IsEventStream => context.Response.ContentType?.StartsWith("text/event-stream", StringComparison.OrdinalIgnoreCase) is true;

    private TombstoneReason ReasonNotToKeep(int count)
    {
        if (!_started)
        {
            _started = true;
            if (!IsStreamed && IsEventStream)
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
        await settleTombstone!(reason);
        IsPassedThrough = true;
        await inner.Stream.WriteAsync(Body, cancellationToken);
        Discard();
        await inner.Stream.WriteAsync(buffer, cancellationToken);
        await inner.Stream.FlushAsync(cancellationToken);
    }

    /// <summary>To the end, whether the client is still there or not: the record is for its retry.</summary>
    private async ValueTask StreamAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        if (NotKept == TombstoneReason.None)
        {
            NotKept = ReasonNotToKeep(buffer.Length);
            if (NotKept == TombstoneReason.None)
            {
                Append(buffer);
            }
            else
            {
                Discard();
            }
        }

        if (!clientAborted.IsCancellationRequested)
        {
            await inner.Stream.WriteAsync(buffer, cancellationToken);
        }
        else if (NotKept != TombstoneReason.None)
        {
            // For nobody: neither the client nor the record gets what is still to come, and it may never end.
            IsGivenUp = true;
            throw new OperationCanceledException("nobody reads the answer any more");
        }
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
