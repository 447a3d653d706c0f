using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Tells the trace of a request that a client is given it, and the client's message which trace it belongs to: whoever calls the forwarder, with
/// whatever client and transformer.
/// </summary>
/// <param name="forwarder">The host's.</param>
internal sealed class WatchedForwarder(IHttpForwarder forwarder) : IHttpForwarder
{
    public ValueTask<ForwarderError> SendAsync(
        HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer) =>
        forwarder.SendAsync(context, destinationPrefix, Watched(context, httpClient), requestConfig, transformer);

    public ValueTask<ForwarderError> SendAsync(
        HttpContext context, string destinationPrefix, HttpMessageInvoker httpClient, ForwarderRequestConfig requestConfig, HttpTransformer transformer, CancellationToken cancellationToken) =>
        forwarder.SendAsync(context, destinationPrefix, Watched(context, httpClient), requestConfig, transformer, cancellationToken);

    private static HttpMessageInvoker Watched(HttpContext context, HttpMessageInvoker client) =>
        context.Features.Get<ForwardTrace>() is { } trace ? new HttpMessageInvoker(new Handler(client, trace), disposeHandler: false) : client;

    private sealed class Handler(HttpMessageInvoker client, ForwardTrace trace) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            trace.IsHandedOver = true;
            request.Options.Set(ForwardTrace.Key, trace);
            return client.SendAsync(request, cancellationToken);
        }
    }
}
