using System.Net.Sockets;
using System.Reflection;
using System.Text;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Makes the HTTP clients that YARP forwards with: no hidden repetition, nothing shared between callers, no redirects followed. It wraps the host's own
/// factory, whose settings of the handler stay but for these.
/// </summary>
/// <param name="host">The factory that the host would have without us.</param>
/// <param name="fieldEncoding">Of header fields for which no encoding is configured; null for .NET's own, which is ASCII.</param>
/// <param name="passesTraces">Spans and their fields are as <see cref="SpanPropagator"/> says; else as the host has set them.</param>
internal class BackendClientFactory(ForwarderHttpClientFactory host, Encoding? fieldEncoding, bool passesTraces) : ForwarderHttpClientFactory
{
    /// <summary>Shorter than any sensible activity timeout, so that a backend that cannot be reached is told apart from a slow one.</summary>
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Between the end of ours and the handler's own, which is for the TLS handshake too.</summary>
    private static readonly TimeSpan ConnectReserve = TimeSpan.FromSeconds(10);

    /// <summary>The host's overrides are called as YARP calls them; they are protected.</summary>
    private static readonly Action<ForwarderHttpClientFactory, ForwarderHttpClientContext, SocketsHttpHandler> ConfigureAsHost =
        Overridable(nameof(ConfigureHandler)).CreateDelegate<Action<ForwarderHttpClientFactory, ForwarderHttpClientContext, SocketsHttpHandler>>();

    private static readonly Func<ForwarderHttpClientFactory, ForwarderHttpClientContext, HttpMessageHandler, HttpMessageHandler> WrapAsHost =
        Overridable(nameof(WrapHandler)).CreateDelegate<Func<ForwarderHttpClientFactory, ForwarderHttpClientContext, HttpMessageHandler, HttpMessageHandler>>();

    private static readonly Func<ForwarderHttpClientFactory, ForwarderHttpClientContext, bool> CanReuseAsHost =
        Overridable(nameof(CanReuseOldClient)).CreateDelegate<Func<ForwarderHttpClientFactory, ForwarderHttpClientContext, bool>>();

    protected override void ConfigureHandler(ForwarderHttpClientContext context, SocketsHttpHandler handler)
    {
        ConfigureAsHost(host, context, handler);
        handler.AllowAutoRedirect = false;
        handler.UseCookies = false; // a shared jar would hand one tenant's cookies to another
        if (handler.PooledConnectionLifetime == Timeout.InfiniteTimeSpan)
        {
            handler.PooledConnectionLifetime = TimeSpan.FromMinutes(2); // follow DNS
        }

        if (passesTraces)
        {
            handler.ActivityHeadersPropagator = TraceContext.IsRecorded ? new SpanPropagator() : null; // null leaves what YARP copied
        }

        if (handler.PooledConnectionIdleTimeout == Timeout.InfiniteTimeSpan || handler.PooledConnectionIdleTimeout > TimeSpan.FromSeconds(30))
        {
            handler.PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30); // below common keep-alive limits of backends
        }

        var configured = handler.RequestHeaderEncodingSelector;
        handler.RequestHeaderEncodingSelector = (field, request) =>
        {
            SingleSendHandler.Writing(request, field); // the one call that the client makes each time it sends
            return configured?.Invoke(field, request) ?? fieldEncoding;
        };
        var connect = handler.ConnectCallback ?? ConnectAsync;
        var limit = handler.ConnectTimeout < ConnectTimeout && handler.ConnectTimeout != Timeout.InfiniteTimeSpan ? handler.ConnectTimeout : ConnectTimeout;
        if (handler.ConnectTimeout != Timeout.InfiniteTimeSpan && handler.ConnectTimeout < limit + ConnectReserve)
        {
            handler.ConnectTimeout = limit + ConnectReserve;
        }

        handler.ConnectCallback = (connection, cancellationToken) => ConnectInTimeAsync(connect, limit, connection, cancellationToken);
    }

    protected override bool CanReuseOldClient(ForwarderHttpClientContext context) => CanReuseAsHost(host, context);

    /// <summary>Ours stands next to the socket: whatever the host puts above it, nothing is sent that it does not see.</summary>
    /// <exception cref="InvalidOperationException">What the host returns does not lead there.</exception>
    protected override HttpMessageHandler WrapHandler(ForwarderHttpClientContext context, HttpMessageHandler handler)
    {
        var own = new SingleSendHandler(handler);
        var wrapped = WrapAsHost(host, context, own);
        for (var inner = wrapped; inner is not null; inner = (inner as DelegatingHandler)?.InnerHandler)
        {
            if (inner == own)
            {
                return wrapped;
            }
        }

        throw new InvalidOperationException($"WrapHandler of {host.GetType()} returns a handler that sends by another one than it is given. Idempotency has to see what is sent: wrap the given handler.");
    }

    private static MethodInfo Overridable(string name) => typeof(ForwarderHttpClientFactory).GetMethod(name, BindingFlags.Instance | BindingFlags.NonPublic)!;

    /// <summary>
    /// Connects with a timeout of our own. The handler's ConnectTimeout ends in a cancellation that cannot be told from a backend that
    /// was slow to answer; this one ends in a connection error, which proves that nothing was sent.
    /// </summary>
    private static async ValueTask<Stream> ConnectInTimeAsync(
        Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> connect, TimeSpan limit, SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        using var timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(limit);
        try
        {
            return await connect(context, timeout.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new SocketException((int)SocketError.TimedOut);
        }
    }

    private static async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellationToken)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(context.DnsEndPoint, cancellationToken);
            _ = socket.RemoteEndPoint; // the client asks next, outside of what it makes a connection error: a peer may have reset by then
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
