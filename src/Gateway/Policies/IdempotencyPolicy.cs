namespace Gateway.Policies;

/// <summary>Whether a covered request must carry a key.</summary>
internal enum PolicyMode
{
    /// <summary>A covered request without a key is refused (400).</summary>
    Required,

    /// <summary>A covered request without a key is forwarded as it is, unprotected.</summary>
    Optional,
}

/// <summary>What a request does when the store gives no answer.</summary>
internal enum StoreDown
{
    /// <summary>503, nothing is forwarded.</summary>
    Refuse,

    /// <summary>Forwarded unprotected, and the answer says so (<c>Idempotency-Status: bypassed</c>).</summary>
    Bypass,
}

/// <summary>How the request body enters the fingerprint.</summary>
internal enum FingerprintBody
{
    /// <summary>Byte for byte.</summary>
    Raw,

    /// <summary>Not at all: only the method, the target and the chosen header fields.</summary>
    None,
}

/// <summary>
/// How a route is made idempotent: the effective policy, defaults filled in, validated and immutable. A route gets it as metadata of
/// its endpoint. Docs of every setting: docs/configuration.md.
/// </summary>
internal sealed record IdempotencyPolicy
{
    /// <summary>The name of the policy that exists without being written down.</summary>
    public const string DefaultName = "default";

    public required string Name { get; init; }

    /// <summary>Required: a route that was opted in should not let unprotected requests through by accident.</summary>
    public PolicyMode Mode { get; init; } = PolicyMode.Required;

    /// <summary>Upper case. The methods that RFC 9110 does not define as idempotent.</summary>
    public IReadOnlyList<string> Methods { get; init; } = ["POST", "PATCH"];

    /// <summary>Where the key is read; the header of draft-ietf-httpapi-idempotency-key-header-07.</summary>
    public IReadOnlyList<Selector> Key { get; init; } = [Selector.Header("Idempotency-Key")];

    /// <summary>Who a key belongs to, all of these together; empty for <c>global</c>.</summary>
    public IReadOnlyList<Selector> Scope { get; init; } = [Selector.Header("Authorization")];

    /// <summary>Raw: what the client sent is what is compared.</summary>
    public FingerprintBody FingerprintBody { get; init; } = FingerprintBody.Raw;

    /// <summary>Header fields that are part of the fingerprint, beside those that always are (<c>RequestFingerprint</c>).</summary>
    public IReadOnlyList<string> FingerprintHeaders { get; init; } = ["Content-Type"];

    /// <summary>24 hours, as Stripe keeps keys.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(24);

    /// <summary>30 seconds without renewal: how long a key of a dead gateway answers <c>in-progress</c> before it is uncertain.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Refuse: without a claim nothing is forwarded.</summary>
    public StoreDown StoreDown { get; init; } = StoreDown.Refuse;

    /// <summary>Backend statuses that say that the request was not served; the key is freed.</summary>
    public IReadOnlyList<int> ReleaseStatuses { get; init; } = [401, 403, 408, 425, 429, 503];

    /// <summary>Backend statuses that leave open whether the request was served (a gateway behind us gave up).</summary>
    public IReadOnlyList<int> UncertainStatuses { get; init; } = [502, 504];

    /// <summary>Larger answers are passed on but not kept. 1 MiB, in bytes.</summary>
    public long MaxAnswerBytes { get; init; } = 1024 * 1024;

    /// <summary>Fields of the first answer that no replay carries: sessions and challenges belong to one exchange.</summary>
    public IReadOnlyList<string> DropHeaders { get; init; } = ["Set-Cookie", "WWW-Authenticate"];

    /// <summary>Larger requests are refused (413), because the whole body is read before the claim. 1 MiB, in bytes.</summary>
    public long MaxRequestBodyBytes { get; init; } = 1024 * 1024;

    /// <summary>Whether requests of this method are claimed. Clients may write methods in lower case, which are forwarded in upper case.</summary>
    public bool Covers(string method)
    {
        foreach (var covered in Methods)
        {
            if (string.Equals(covered, method, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }
}
