using System.Net;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// One forward, one arrival. .NET's client sends a request without content again, by itself, when a reused HTTP/1.1 connection closes
/// before any response byte, POST and DELETE included: the backend may have executed it already. A request that has content, even an
/// empty one, and does not wait for 100-continue, is sent once; so is one that stands on a lease, whatever its method. Over HTTP/2 it sends anything again that the backend says it did not
/// process (REFUSED_STREAM, GOAWAY), up to four times; there <see cref="Writing"/> stops the second time. It stands here and not in a
/// YARP transform because YARP loses track of content that a transform replaces. What the backend's Connection names ends here as well.
/// <para>And nothing goes out for a lease that may be over. The last look is in <see cref="Writing"/> too: the client calls it when it has a
/// connection, and writes all header fields to its own memory before it gives any byte to the connection. A look that fails throws there,
/// which ends the connection (HTTP/1.1) or the stream before it began (HTTP/2); the lease is confirmed, and the request, of which nothing
/// was written, is tried again. docs/decisions/0019-the-last-look.md.</para>
/// </summary>
internal sealed class SingleSendHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    /// <summary>A process that was away for half a lease between each of them is in no state to forward anything.</summary>
    private const int MaxLooks = 3;

    private static readonly HttpRequestOptionsKey<SendOnce> SendOnceKey = new("gateway.send-once");

    protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        request.Options.TryGetValue(ForwardTrace.Key, out var trace);
        trace?.BeginSend();
        SendOnce? once = null;
        var isSafe = IsSafe(request.Method);
        if (!isSafe || trace is { IsLeased: true })
        {
            if (!isSafe || request.Headers.NonValidated.Count == 0)
            {
                request.Content ??= new ByteArrayContent([]); // without any field there is nothing to look at
            }

            if (trace is not null)
            {
                // Where nobody keeps a claim, sending again what the backend says it did not process harms nobody (RFC 9113, section 8.7).
                once = new SendOnce(trace);
                request.Options.Set(SendOnceKey, once);
            }
        }

        request.Headers.ExpectContinue = false;
        HttpResponseMessage? response = null;
        try
        {
            for (var looks = 1; response is null; looks++)
            {
                try
                {
                    var sent = base.SendAsync(request, cancellationToken);
                    TestHooks.CrashPoint("P3");
                    response = await sent;
                }
                catch (NotSentException) when (looks < MaxLooks)
                {
                    if (!await trace!.TryConfirmAsync())
                    {
                        throw;
                    }
                }
            }
        }
        catch (Exception e) when (IsBeforeSending(e) && once?.FirstField is null)
        {
            // Over HTTP/2 a connection may refuse what was written, and the next one fail to come about: the backend's word is no proof.
            trace?.TakeBackSend();
            throw;
        }

        if (response.StatusCode < HttpStatusCode.Continue)
        {
            // The client accepts any three digits; passed on, it would be a status line that nobody can read (RFC 9110, section 15).
            response.Dispose();
            throw new HttpRequestException(HttpRequestError.InvalidResponse, $"The backend answered with the status {(int)response.StatusCode}.");
        }

        if (trace is not null)
        {
            trace.Status = (int)response.StatusCode;
            trace.Unframed = IsUnframed(response);
            trace.AnnouncesTrailers = response.Headers.Contains("Trailer");
            trace.Trailers = response.TrailingHeaders;
            trace.IsGrpc = response.Content.Headers.NonValidated.TryGetValues("Content-Type", out var type) && type.ToString().StartsWith("application/grpc", StringComparison.OrdinalIgnoreCase);
            trace.GrpcStatus = response.Headers.NonValidated.TryGetValues("grpc-status", out var grpc) ? grpc.ToString() : null;

            // The gateway's own word, which clients must be able to believe. A backend's own Idempotent-Replayed stays: it knows keys itself.
            response.Headers.Remove("Idempotency-Status");
        }

        RemoveNominatedFields(response);
        RemoveForbiddenContent(response);
        return response;
    }

    /// <summary>Whether a send that ended so has sent nothing.</summary>
    public static bool IsBeforeSending(Exception? failure) => failure is NotSentException or HttpRequestException
    {
        HttpRequestError: HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError,
    };

    /// <summary>
    /// These have no content, whatever they say (RFC 9110, sections 15.3.5 and 15.3.6; RFC 9112, section 6.3): IIS gives a 204 a length. The server
    /// would wait for it, and give up with an answer that is nobody's.
    /// </summary>
    private static void RemoveForbiddenContent(HttpResponseMessage response)
    {
        if (response.StatusCode is not (HttpStatusCode.NoContent or HttpStatusCode.ResetContent))
        {
            return;
        }

        var content = response.Content;
        response.Content = new ByteArrayContent([]);
        foreach (var (name, values) in content.Headers.NonValidated)
        {
            if (!name.Equals("Content-Length", StringComparison.OrdinalIgnoreCase))
            {
                response.Content.Headers.TryAddWithoutValidation(name, values);
            }
        }

        if (response.StatusCode == HttpStatusCode.NoContent)
        {
            response.Content.Headers.Remove("Content-Length");
        }

        content.Dispose();
    }

    /// <summary>
    /// To be called for each header field that the client is about to write, before any byte of the request goes out. The fields are
    /// written in the same order each time, so that the first one, seen again, is a second attempt.
    /// </summary>
    /// <exception cref="NotSentException">The request may not begin; nothing was written.</exception>
    /// <exception cref="HttpRequestException">The request was written before.</exception>
    public static void Writing(HttpRequestMessage request, string field)
    {
        if (!request.Options.TryGetValue(SendOnceKey, out var once))
        {
            return;
        }

        if (once.FirstField is null)
        {
            if (!once.Forward.MayBegin)
            {
                throw new NotSentException();
            }

            once.FirstField = field;
        }
        else if (once.FirstField == field)
        {
            throw new HttpRequestException(HttpRequestError.Unknown, "The backend refused the request; it is not sent a second time.");
        }
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

    /// <summary>Safe methods may be sent again where no lease stands behind them, and must not be given a Content-Length that the client did not send.</summary>
    private static bool IsSafe(HttpMethod method) =>
        method == HttpMethod.Get || method == HttpMethod.Head || method == HttpMethod.Options || method == HttpMethod.Trace || method == HttpMethod.Connect;

    private static bool IsUnframed(HttpResponseMessage response) =>
        response.Version.Major < 2
        && response.StatusCode is not (HttpStatusCode.NoContent or HttpStatusCode.NotModified)
        && response.Content.Headers.ContentLength is null
        && response.Headers.TransferEncodingChunked is not true;

    /// <summary>Travels with a request that is unsafe or stands on a lease.</summary>
    private sealed class SendOnce(ForwardTrace forward)
    {
        public ForwardTrace Forward => forward;

        /// <summary>The name of the field that was written first; null while nothing was written.</summary>
        public string? FirstField { get; set; }
    }
}
