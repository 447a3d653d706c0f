namespace Idempotency.Yarp.Policies;

/// <summary>Whether a covered request must carry a key.</summary>
internal enum PolicyMode
{
    /// <summary>A covered request without a key is refused (400).</summary>
    Required,

    /// <summary>A covered request without a key is forwarded as it is, unprotected.</summary>
    Optional,

    /// <summary>Keys are claimed and compared, every request is forwarded, and answers only tell what would have happened.</summary>
    Observe,
}

/// <summary>A source of the time at which a key was made.</summary>
internal enum KeyTime
{
    /// <summary>A key that is a UUID of version 7 (RFC 9562, section 5.7).</summary>
    UuidV7,

    /// <summary>A key that is a ULID.</summary>
    Ulid,

    /// <summary>The header field <c>Repeatability-First-Sent</c>, an HTTP date (OASIS Repeatable Requests 1.0).</summary>
    FirstSent,
}

/// <summary>Which key the backend sees.</summary>
internal enum ForwardKey
{
    /// <summary>The client's.</summary>
    AsIs,

    /// <summary>One made from policy, scope and key: the same for every try, different for different callers.</summary>
    Derived,

    /// <summary>None.</summary>
    Strip,
}

/// <summary>How the request body enters the fingerprint.</summary>
internal enum FingerprintBody
{
    /// <summary>Byte for byte; a multipart/form-data body part by part, so that its boundary does not matter.</summary>
    Raw,

    /// <summary>As a JSON value: order of members, white space and the form of numbers do not matter. What is not JSON: as Raw.</summary>
    Json,

    /// <summary>Not at all: only the method, the target and the chosen header fields.</summary>
    None,
}

/// <summary>What a request does when another one is in its way.</summary>
internal enum Contention
{
    /// <summary>It is refused at once (409).</summary>
    Reject,

    /// <summary>It waits for a while.</summary>
    Wait,
}

/// <summary>What a retry does when the outcome of the first request is uncertain.</summary>
internal enum UncertainRetries
{
    /// <summary>409, nothing is forwarded.</summary>
    Refuse,

    /// <summary>It is forwarded as the next attempt: for backends that check keys themselves.</summary>
    Retry,

    /// <summary>The backend is asked what became of the first request.</summary>
    Probe,
}

/// <summary>Whose path a probe's path is, on a route that transforms paths.</summary>
internal enum PathTransforms
{
    /// <summary>As clients of the route write it: the route's transforms of paths apply to it.</summary>
    Apply,

    /// <summary>As the backend knows it: they do not.</summary>
    Skip,
}

/// <summary>What a request does when the store gives no answer.</summary>
internal enum StoreDown
{
    /// <summary>503, nothing is forwarded.</summary>
    Refuse,

    /// <summary>Forwarded unprotected, and the answer says so (<c>Idempotency-Status: bypassed</c>).</summary>
    Bypass,
}

/// <summary>What becomes of an answer that the backend forbids to store.</summary>
internal enum NoStoreAnswers
{
    /// <summary>Passed on, and a retry is told that it is not kept.</summary>
    Tombstone,

    /// <summary>Recorded and replayed like any other.</summary>
    Record,
}

/// <summary>How an answer reaches the client of the first request.</summary>
internal enum Delivery
{
    /// <summary>Whole, after it was recorded.</summary>
    Buffered,

    /// <summary>As it comes; it is recorded at its end.</summary>
    Streamed,
}
