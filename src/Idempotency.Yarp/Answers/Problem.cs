namespace Idempotency.Yarp;

/// <summary>A problem type (RFC 9457) that the gateway answers with; explained to people at <c>/.well-known/idempotency</c>.</summary>
/// <param name="Slug">The fragment of its type URI.</param>
/// <param name="Status">The status code.</param>
/// <param name="Title">What happened, the same for every occurrence.</param>
/// <param name="Advice">What a client should do.</param>
internal sealed record Problem(string Slug, int Status, string Title, string Advice)
{
    public static readonly Problem KeyMissing = new(
        "key-missing", 400, "Idempotency-Key is missing",
        "Send a fresh random key, such as a UUID, with every new operation, and the same key with its retries.");

    public static readonly Problem KeyInvalid = new(
        "key-invalid", 400, "Idempotency-Key is not valid",
        "Send one header line with 1 to 255 characters: a quoted string of printable ASCII, or bare letters, digits and - . _ ~ :.");

    public static readonly Problem RequestInvalid = new(
        "request-invalid", 400, "The request is not valid",
        "Correct the request. Nothing was forwarded and the key is unused.");

    public static readonly Problem UpgradeNotSupported = new(
        "upgrade-not-supported", 501, "A request with a key cannot upgrade its connection",
        "Send the request without the Upgrade header field.");

    public static readonly Problem RequestTooLarge = new(
        "request-too-large", 413, "The request body is too large to be protected",
        "Send a smaller body. Nothing was forwarded and the key is unused.");

    public static readonly Problem RequestNotBuffered = new(
        "request-not-buffered", 503, "The request body cannot be taken in at the moment",
        "Nothing was forwarded and the key is unused. Repeat the same request with the same key after the time in Retry-After.");

    public static readonly Problem RequestTimeout = new(
        "request-timeout", 408, "The request body did not arrive in time",
        "Nothing was forwarded and the key is unused. Repeat the same request with the same key.");

    public static readonly Problem KeyReused = new(
        "key-reused", 422, "Idempotency-Key is already used",
        "The key belongs to another request: another method, target, host, body or header field. Use a fresh key for a new operation, or repeat the original request unchanged.");

    public static readonly Problem KeyExpired = new(
        "key-expired", 412, "Idempotency-Key is too old",
        "The key was made longer ago than keys are remembered: nobody knows whether it was used. Find out by other means, and use a fresh key for a new operation.");

    public static readonly Problem ResourceLocked = new(
        "resource-locked", 409, "Another request holds the resource",
        "Nothing was forwarded and the key is unused. Repeat the same request with the same key after the time in Retry-After.");

    public static readonly Problem InProgress = new(
        "in-progress", 409, "A request is outstanding for this Idempotency-Key",
        "Repeat the same request after the time in Retry-After; it gets the first request's answer.");

    public static readonly Problem OutcomeUncertain = new(
        "outcome-uncertain", 409, "The outcome of the first request is not known",
        "The request reached the backend, or may have, and nobody knows how it ended. It is not repeated. Find out by other means whether it took effect.");

    public static readonly Problem AnswerNotKept = new(
        "answer-not-kept", 409, "The request was executed, and its answer was not kept",
        "Do not repeat it with a new key. The member original tells how it ended: status, location, and why the answer was not kept.");

    public static readonly Problem StoreUnavailable = new(
        "store-unavailable", 503, "Keys cannot be checked at the moment",
        "Nothing was forwarded. Repeat the same request with the same key after the time in Retry-After.");

    public static readonly Problem ShuttingDown = new(
        "shutting-down", 503, "This instance is shutting down",
        "Nothing was forwarded. Repeat the same request with the same key, on a new connection.");

    public static readonly Problem BackendUnreachable = new(
        "backend-unreachable", 502, "The backend could not be reached",
        "Nothing was sent and the key is free. Repeat the same request with the same key.");

    /// <summary>Every problem type, in the order of a request's way.</summary>
    public static readonly IReadOnlyList<Problem> All =
    [
        RequestInvalid, KeyMissing, KeyInvalid, UpgradeNotSupported, RequestTooLarge, RequestNotBuffered, RequestTimeout, ShuttingDown, StoreUnavailable, KeyReused, KeyExpired, InProgress, ResourceLocked, OutcomeUncertain,
        AnswerNotKept, BackendUnreachable,
    ];

    /// <summary>It is about the key, and not about the form of the request.</summary>
    public bool IsOfTheKey => this == KeyMissing || this == KeyInvalid || this == KeyReused || this == KeyExpired || this == InProgress || this == ResourceLocked
        || this == OutcomeUncertain || this == AnswerNotKept;

    /// <summary>The type URI: a full path, which resolves against the request's own address (RFC 9457, section 3.1.1).</summary>
    public string Type => $"{WellKnownPage.Path}#{Slug}";
}
