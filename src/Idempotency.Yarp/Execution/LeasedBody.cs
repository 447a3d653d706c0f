namespace Idempotency.Yarp;

/// <summary>
/// The body of a request that stands on a lease, on its way to the backend. Every piece is looked at before it is given out, and so is the
/// end: the client below writes what is left of a body only then. A look that fails cuts the connection (HTTP/1.1) or resets the stream
/// (HTTP/2), so that the backend never has the whole request.
/// </summary>
/// <param name="inner">Not this stream's to dispose of.</param>
/// <param name="forward">Says whether it may go on.</param>
internal sealed class LeasedBody(Stream inner, LeasedTrace forward) : ReadOnlyBody
{
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
}
