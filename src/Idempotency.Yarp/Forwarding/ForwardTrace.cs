using System.Net.Http.Headers;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// What the HTTP client saw of one forward, below YARP, which hides it: whether an answer came, and whether its end can be trusted.
/// Set as a feature of the request before forwarding; <see cref="SingleSendHandler"/> fills it in. A forward that stands on a lease says
/// whether it may begin.
/// </summary>
internal class ForwardTrace
{
    /// <summary>How the trace travels with the outgoing request.</summary>
    public static readonly HttpRequestOptionsKey<ForwardTrace> Key = new("gateway.forward-trace");

    /// <summary>A client was given the request, whoever's it is.</summary>
    public bool IsHandedOver { get; set; }

    /// <summary>The request came to our handler below that client: what this trace says, or does not say, is so.</summary>
    public bool IsSeen { get; set; }

    /// <summary>Our handler saw an answer, or an end that does not prove that nothing was sent.</summary>
    public bool WasSent { get; set; }

    /// <summary>Whether the backend may have the request. A client that nobody watched may have done anything.</summary>
    public bool MayHaveArrived => WasSent || (IsHandedOver && !IsSeen);

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
