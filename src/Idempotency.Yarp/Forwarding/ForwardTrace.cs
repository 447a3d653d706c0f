using System.Net.Http.Headers;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// What the HTTP client saw of one forward, below YARP, which hides it: whether an answer came, and whether its end can be trusted.
/// Set as a feature of the request before forwarding; <see cref="SingleSendHandler"/> fills it in. A forward that stands on a lease says
/// whether it may begin.
/// </summary>
internal class ForwardTrace
{
    private int _sends;
    private int _seen;
    private int _handOvers;

    /// <summary>How the trace travels with the outgoing request.</summary>
    public static readonly HttpRequestOptionsKey<ForwardTrace> Key = new("gateway.forward-trace");

    /// <summary>
    /// Whether the backend may have the request: our handler has sent it, or is at it, and has no proof that nothing went out; or a client has it below
    /// which our handler was not seen, and may have done anything.
    /// </summary>
    public bool MayHaveArrived => Volatile.Read(ref _sends) > 0 || Volatile.Read(ref _handOvers) > 0;

    /// <summary>Our handler is about to send.</summary>
    /// <exception cref="HttpRequestException">What stands on a lease may have arrived already: somebody above us tries again.</exception>
    public void BeginSend()
    {
        // This hand-over is one of them.
        if ((Interlocked.Increment(ref _sends) > 1 || Volatile.Read(ref _handOvers) > 1) && IsLeased)
        {
            TakeBackSend();
            throw new HttpRequestException(HttpRequestError.Unknown, "The request was sent before; it is not sent a second time.");
        }

        Interlocked.Increment(ref _seen);
    }

    /// <summary>There is proof that nothing was sent.</summary>
    public void TakeBackSend() => Interlocked.Decrement(ref _sends);

    /// <summary>A client is about to be given the request.</summary>
    /// <returns>For <see cref="EndHandOver"/>.</returns>
    public int BeginHandOver()
    {
        Interlocked.Increment(ref _handOvers);
        return Volatile.Read(ref _seen);
    }

    /// <summary>The client is done. If our handler saw the request, it knows; if not, nobody does.</summary>
    public void EndHandOver(int seenBefore)
    {
        if (Volatile.Read(ref _seen) != seenBefore)
        {
            Interlocked.Decrement(ref _handOvers);
        }
    }

    /// <summary>The backend's status code, once its header section was read.</summary>
    public int? Status { get; set; }

    /// <summary>It is an answer of gRPC, whose own status counts: in its header section when it has nothing else, else in its trailer fields.</summary>
    public bool IsGrpc { get; set; }

    /// <summary>The gRPC status of an answer that is nothing but its header section ("Trailers-Only" in gRPC's mapping to HTTP/2).</summary>
    public string? GrpcStatus { get; set; }

    /// <summary>
    /// The status code that says the same as the answer: of gRPC's codes (google.rpc.Code), which all come with a 200, that of those which tell whether
    /// the call was served. Known when the body has been read.
    /// </summary>
    public int? Meaning => Status is 200 && IsGrpc ? (GrpcStatus ?? TrailerOf("grpc-status")) switch
    {
        "1" or "4" => 504, // CANCELLED, DEADLINE_EXCEEDED
        "7" => 403, // PERMISSION_DENIED
        "8" => 429, // RESOURCE_EXHAUSTED
        "14" => 503, // UNAVAILABLE
        "16" => 401, // UNAUTHENTICATED
        _ => Status,
    } : Status;

    /// <summary>
    /// The body has neither a length nor chunks, so that a cut-off body looks complete (RFC 9112, section 6.3, item 8).
    /// </summary>
    public bool Unframed { get; set; }

    /// <summary>The backend announced trailer fields.</summary>
    public bool AnnouncesTrailers { get; set; }

    /// <summary>The trailer fields, filled in when the body has been read.</summary>
    public HttpResponseHeaders? Trailers { get; set; }

    /// <summary>The answer ends with trailer fields, which a recorded answer cannot carry. Known when the body has been read.</summary>
    public bool HasTrailers => AnnouncesTrailers || Trailers?.NonValidated.Count > 0;

    private string? TrailerOf(string name) => Trailers?.NonValidated.TryGetValues(name, out var values) is true ? values.ToString() : null;

    /// <summary>It stands on a lease: it is looked at and arrives once whatever its method, which a transform may have changed.</summary>
    public virtual bool IsLeased => false;

    /// <summary>Whether the request may go out now: the last look, after the connection was had and before the first byte.</summary>
    public virtual bool MayBegin => true;

    /// <summary>Asked when it may not: whether it may after all, once that was made sure of. Nothing was written.</summary>
    public virtual Task<bool> TryConfirmAsync() => Task.FromResult(false);
}
