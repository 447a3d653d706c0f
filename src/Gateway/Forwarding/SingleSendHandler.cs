using System.Net;

namespace Gateway.Forwarding;

/// <summary>
/// One forward, one arrival. .NET's client sends a request without content again, by itself, when a reused connection closes before
/// any response byte, POST and DELETE included: the backend may have executed it already. A request that has content, even an empty
/// one, and does not wait for 100-continue, is sent once. It stands here and not in a YARP transform because YARP loses track of
/// content that a transform replaces. What the backend's Connection names ends here as well.
/// </summary>
internal sealed class SingleSendHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        if (request.Content is null && !IsSafe(request.Method) && !TestHooks.HasDefect("resend-cure-off"))
        {
            request.Content = new ByteArrayContent([]);
        }

        request.Headers.ExpectContinue = false;
        var sent = base.SendAsync(request, cancellationToken);
        TestHooks.CrashPoint("P3");
        var response = await sent;
        if (request.Options.TryGetValue(ForwardTrace.Key, out var trace))
        {
            trace.Status = (int)response.StatusCode;
            trace.Unframed = IsUnframed(response);
            trace.AnnouncesTrailers = response.Headers.Contains("Trailer");
            trace.Trailers = response.TrailingHeaders;

            // The gateway's own fields: clients must be able to believe them.
            response.Headers.Remove("Idempotency-Status");
            response.Headers.Remove("Idempotent-Replayed");
        }

        RemoveNominatedFields(response);
        return response;
    }

    /// <summary>A proxy must remove what Connection names (RFC 9110, section 7.6.1); YARP removes Connection itself before anyone can look.</summary>
    private static void RemoveNominatedFields(HttpResponseMessage response)
    {
        if (!response.Headers.NonValidated.TryGetValues("Connection", out var connection))
        {
            return;
        }

        foreach (var name in connection.SelectMany(value => value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            // Remove alone throws for a name that belongs to the other collection, or to none.
            if (response.Headers.NonValidated.Contains(name))
            {
                response.Headers.Remove(name);
            }
            else if (response.Content.Headers.NonValidated.Contains(name))
            {
                response.Content.Headers.Remove(name);
            }
        }
    }

    /// <summary>Safe methods may be sent again, and must not be given a Content-Length that the client did not send.</summary>
    private static bool IsSafe(HttpMethod method) =>
        method == HttpMethod.Get || method == HttpMethod.Head || method == HttpMethod.Options || method == HttpMethod.Trace || method == HttpMethod.Connect;

    private static bool IsUnframed(HttpResponseMessage response) =>
        response.Version.Major < 2
        && response.StatusCode is not (HttpStatusCode.NoContent or HttpStatusCode.NotModified)
        && response.Content.Headers.ContentLength is null
        && response.Headers.TransferEncodingChunked is not true;
}
