namespace Gateway.Idempotency;

/// <summary>
/// The body of a request that stands on a lease, on its way to the backend. Every piece is looked at before it is given out, and so is the
/// end: the client below writes what is left of a body only then. A look that fails cuts the connection (HTTP/1.1) or resets the stream
/// (HTTP/2), so that the backend never has the whole request.
/// </summary>
/// <param name="inner">Not this stream's to dispose of.</param>
/// <param name="forward">Says whether it may go on.</param>
internal sealed class LeasedBody(Stream inner, LeasedForward forward) : Stream
{
    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <exception cref="LeaseOverException">The rest must not be sent.</exception>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await inner.ReadAsync(buffer, cancellationToken);
        if (!forward.MayGoOn && !await forward.TryConfirmToGoOnAsync())
        {
            throw new LeaseOverException();
        }

        return read;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
}
