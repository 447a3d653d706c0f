using System.IO.Pipelines;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.Idempotency;

/// <summary>
/// Keeps the end of an answer back while a lock is held: a client that has its whole answer may come again at once, at another instance, and must not
/// find the lock taken by its own last request. The end is the last byte of an answer that says its length, else the mark of the end itself.
/// Everything before goes out as it comes.
/// </summary>
/// <param name="response">The answer; its fields are looked at when the first byte comes.</param>
/// <param name="inner">The client's side.</param>
internal sealed class HeldTail(HttpResponse response, IHttpResponseBodyFeature inner) : Stream, IHttpResponseBodyFeature
{
    private long _left = -1;
    private byte[] _tail = [];
    private PipeWriter? _writer;

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

    /// <summary>Gives the rest: the lock is free, or left to its lease.</summary>
    public async Task ReleaseAsync()
    {
        if (_writer is not null)
        {
            await _writer.FlushAsync();
        }

        if (_tail.Length > 0)
        {
            await inner.Stream.WriteAsync(_tail);
            _tail = [];
        }
    }

    public void DisableBuffering() => inner.DisableBuffering();

    public Task StartAsync(CancellationToken cancellationToken = default) => inner.StartAsync(cancellationToken);

    public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
        SendFileFallback.SendFileAsync(this, path, offset, count, cancellationToken);

    /// <summary>The server completes the answer when the request's way is over, which is after the lock.</summary>
    public Task CompleteAsync() => _writer is null ? Task.CompletedTask : _writer.FlushAsync().AsTask();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_left < 0)
        {
            _left = response.ContentLength ?? long.MaxValue;
        }

        _left -= buffer.Length;
        if (_left > 0 || buffer.IsEmpty)
        {
            return inner.Stream.WriteAsync(buffer, cancellationToken);
        }

        _tail = buffer[^1..].ToArray();
        return inner.Stream.WriteAsync(buffer[..^1], cancellationToken);
    }

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("The response body is written asynchronously.");

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.Stream.FlushAsync(cancellationToken);

    public override void Flush()
    {
    }

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
