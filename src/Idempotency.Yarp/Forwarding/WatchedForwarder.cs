using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Tells the trace of a request that a client is given it, and the client's message which trace it belongs to: whoever calls the forwarder, with
/// whatever client and transformer.
/// </summary>
/// <param name="forwarder">The host's.</param>
internal sealed class WatchedForwarder(IHttpForwarder forwarder) : IHttpForwarder
{
    /// <summary>YARP's own sends by the client that it is given, or not at all; another one may do anything.</summary>
    private readonly bool _isForeign = forwarder.GetType().Assembly != typeof(IHttpForwarder).Assembly;

    public ValueTask<ForwarderError> SendAsync(
        HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer) =>
        SendAsync(context, destinationPrefix, httpClient, requestConfig, transformer, CancellationToken.None);

    public ValueTask<ForwarderError> SendAsync(
        HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer, CancellationToken cancellationToken)
    {
        if (context.Features.Get<ForwardTrace>() is not { } trace)
        {
            return forwarder.SendAsync(context, destinationPrefix, httpClient, requestConfig, transformer, cancellationToken);
        }

        return _isForeign
            ? SendByForeignAsync(context, destinationPrefix, new Invoker(httpClient, trace, counts: false), requestConfig, transformer, trace, cancellationToken)
            : forwarder.SendAsync(context, destinationPrefix, new Invoker(httpClient, trace, counts: true), requestConfig, transformer, cancellationToken);
    }

    private async ValueTask<ForwarderError> SendByForeignAsync(
        HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer, ForwardTrace trace, CancellationToken cancellationToken)
    {
        var seen = trace.BeginHandOver();
        try
        {
            return await forwarder.SendAsync(context, destinationPrefix, httpClient, requestConfig, transformer, cancellationToken);
        }
        finally
        {
            trace.EndHandOver(seen);
        }
    }

    /// <summary>Instead of the client, which goes on to count its requests itself.</summary>
    /// <param name="client">The one that the forwarder was given.</param>
    /// <param name="trace">Of the request.</param>
    /// <param name="counts">This is the hand-over.</param>
    private sealed class Invoker(HttpMessageInvoker client, ForwardTrace trace, bool counts) : HttpMessageInvoker(Unused, disposeHandler: false)
    {
        private static readonly SocketsHttpHandler Unused = new();

        public override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            request.Options.Set(ForwardTrace.Key, trace);
            if (!counts)
            {
                return await client.SendAsync(request, cancellationToken);
            }

            var seen = trace.BeginHandOver();
            try
            {
                return await client.SendAsync(request, cancellationToken);
            }
            finally
            {
                trace.EndHandOver(seen);
            }
        }
    }
}
