using System.Net.Sockets;
using System.Text;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Forwarding;

/// <summary>Makes the HTTP clients that YARP forwards with: no hidden repetition, nothing shared between callers, no redirects followed.</summary>
internal sealed class BackendClientFactory : ForwarderHttpClientFactory
{
    /// <summary>Shorter than any sensible activity timeout, so that a backend that cannot be reached is told apart from a slow one.</summary>
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    protected override void ConfigureHandler(ForwarderHttpClientContext context, SocketsHttpHandler handler)
    {
        base.ConfigureHandler(context, handler);
        handler.AllowAutoRedirect = false;
        handler.UseCookies = false; // a shared jar would hand one tenant's cookies to another
        handler.PooledConnectionLifetime = TimeSpan.FromMinutes(2); // follow DNS
        handler.ActivityHeadersPropagator = TraceContext.IsRecorded ? new SpanPropagator() : null; // null leaves what YARP copied
        handler.PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30); // below common keep-alive limits of backends
        var configured = handler.RequestHeaderEncodingSelector;
        handler.RequestHeaderEncodingSelector = (field, request) =>
        {
            SingleSendHandler.Writing(request, field); // the one call that the client makes each time it sends
            return configured?.Invoke(field, request) ?? Encoding.Latin1; // as Kestrel read them
        };
        handler.ConnectCallback = ConnectAsync;
    }

    protected override HttpMessageHandler WrapHandler(ForwarderHttpClientContext context, HttpMessageHandler handler) =>
        new SingleSendHandler(base.WrapHandler(context, handler));

    /// <summary>
    /// Connects with a timeout of our own. The handler's ConnectTimeout ends in a cancellation that cannot be told from a backend that
    /// was slow to answer; this one ends in a connection error, which proves that nothing was sent.
    /// </summary>
    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(ConnectTimeout);
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, timeout.Token);
            _ = socket.RemoteEndPoint; // the client asks next, outside of what it makes a connection error: a peer may have reset by then
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            socket.Dispose();
            throw new SocketException((int)SocketError.TimedOut);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
