namespace Idempotency.Yarp.Policies;

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

    /// <summary>
    /// Where the key is read, the first that is present; the header of draft-ietf-httpapi-idempotency-key-header-07. Empty for a policy
    /// that only locks.
    /// </summary>
    public IReadOnlyList<Selector> Key { get; init; } = [Selector.Header("Idempotency-Key")];

    /// <summary>What a key must look like; null for whatever its place allows.</summary>
    public KeyPattern? KeyPattern { get; init; }

    /// <summary>In characters. Short keys meet by chance; but what is a good key is the policy's to say.</summary>
    public int KeyMinLength { get; init; } = 1;

    /// <summary>Where the time of a key is read, to refuse keys that are older than the retention; empty: not looked at.</summary>
    public IReadOnlyList<KeyTime> KeyTime { get; init; } = [];

    /// <summary>AsIs: the backend sees what the client sent.</summary>
    public ForwardKey ForwardKey { get; init; } = ForwardKey.AsIs;

    /// <summary>Who a key belongs to, all of these together; empty for <c>global</c>.</summary>
    public IReadOnlyList<Selector> Scope { get; init; } = [Selector.Credentials];

    /// <summary>Raw: what the client sent is what is compared.</summary>
    public FingerprintBody FingerprintBody { get; init; } = FingerprintBody.Raw;

    /// <summary>Header fields that are part of the fingerprint, beside those that always are (<c>RequestFingerprint</c>).</summary>
    public IReadOnlyList<string> FingerprintHeaders { get; init; } = ["Content-Type"];

    /// <summary>
    /// The host is part of the fingerprint, because the route decides something by it: it matches on hosts, or the backend sees the client's own Host.
    /// Elsewhere a retry through another name of the same service is the same request. Not written: it follows from the route.
    /// </summary>
    public bool FingerprintHost { get; init; }

    /// <summary>Places in a JSON body that may differ between tries.</summary>
    public IReadOnlyList<string> FingerprintIgnore { get; init; } = [];

    /// <summary>24 hours, as Stripe keeps keys.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(24);

    /// <summary>30 seconds without renewal: how long a key of a dead gateway answers <c>in-progress</c> before it is uncertain.</summary>
    public TimeSpan Lease { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>What a duplicate does while the first request runs. Reject: 409 at once costs nobody anything.</summary>
    public Contention Duplicates { get; init; } = Contention.Reject;

    /// <summary>The longest that a duplicate waits. 2 seconds: below the patience of clients and load balancers.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How many duplicates of one key wait at one instance; more are answered 409 at once.</summary>
    public int MaxWaiters { get; init; } = 16;

    /// <summary>What a retry does when the outcome is uncertain. Refuse: nothing is repeated that may have happened.</summary>
    public UncertainRetries UncertainRetries { get; init; } = UncertainRetries.Refuse;

    /// <summary>How to find out what became of a request; only with <see cref="UncertainRetries.Probe"/>.</summary>
    public ProbePolicy? Probe { get; init; }

    /// <summary>Refuse: without a claim nothing is forwarded.</summary>
    public StoreDown StoreDown { get; init; } = StoreDown.Refuse;

    /// <summary>Backend statuses that say that the request was not served; the key is freed.</summary>
    public IReadOnlyList<int> ReleaseStatuses { get; init; } = [401, 403, 408, 421, 425, 429, 503];

    /// <summary>
    /// Paths (<c>/login</c>, <c>/auth/*</c>): an answer that redirects there says that nothing was done, and the key is freed. None: a redirect after
    /// a POST usually follows an execution.
    /// </summary>
    public IReadOnlyList<string> ReleaseRedirectsTo { get; init; } = [];

    /// <summary>Backend statuses that leave open whether the request was served (a gateway behind us gave up).</summary>
    public IReadOnlyList<int> UncertainStatuses { get; init; } = [502, 504, 520, 521, 522, 523, 524];

    /// <summary>Larger answers are passed on but not kept. 1 MiB, in bytes.</summary>
    public long MaxAnswerBytes { get; init; } = 1024 * 1024;

    /// <summary>Fields of the first answer that no replay carries: sessions and challenges belong to one exchange.</summary>
    public IReadOnlyList<string> DropHeaders { get; init; } = ["Set-Cookie", "WWW-Authenticate"];

    /// <summary>What becomes of an answer with <c>Cache-Control: no-store</c>. Tombstone: the backend's word counts.</summary>
    public NoStoreAnswers NoStore { get; init; } = NoStoreAnswers.Tombstone;

    /// <summary>Buffered: the answer is recorded before the client gets its first byte.</summary>
    public Delivery Delivery { get; init; } = Delivery.Buffered;

    /// <summary>Larger requests are refused (413), because the whole body is read before the claim. 1 MiB, in bytes.</summary>
    public long MaxRequestBodyBytes { get; init; } = 1024 * 1024;

    /// <summary>Mutual exclusion on a value of the request; null for none.</summary>
    public LockPolicy? Lock { get; init; }

    /// <summary>The body is parsed, and therefore held in memory as a whole.</summary>
    public bool ParsesBody => FingerprintBody == FingerprintBody.Json || KeyIsInBody || ReadsBody(Scope) || (Lock is not null && ReadsBody(Lock.On)) || Probe?.ReadsBody is true;

    /// <summary>The key can only be read after the body.</summary>
    public bool KeyIsInBody => ReadsBody(Key);

    /// <summary>The key is where every client expects it.</summary>
    public bool IsDefaultKey => Key is [{ Kind: SelectorKind.Header, Name: "Idempotency-Key" }];

    /// <summary>A selector looks into a validated token, so that the route must ask for one.</summary>
    public bool NeedsAuthentication => AllSelectors.Any(selector => selector.Kind == SelectorKind.Claim);

    /// <summary>Every selector, wherever it stands.</summary>
    public IEnumerable<Selector> AllSelectors => Key.Concat(Scope).Concat(Lock?.On ?? []).Concat(Probe?.Templates.SelectMany(template => template.Selectors) ?? []);

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

    /// <summary>Asked for every request, so without an enumerator.</summary>
    private static bool ReadsBody(IReadOnlyList<Selector> selectors)
    {
        for (var i = 0; i < selectors.Count; i++)
        {
            if (selectors[i].ReadsBody)
            {
                return true;
            }
        }

        return false;
    }
}

/// <summary>How an uncertain outcome is found out: a GET to the route's own cluster.</summary>
/// <param name="Path">The request target.</param>
/// <param name="Headers">Sent with it, such as credentials of the gateway's own.</param>
/// <param name="Found">Statuses that say that the request was executed; the key is settled with this answer.</param>
/// <param name="Absent">Statuses that say that it was not; it is forwarded again.</param>
internal sealed record ProbePolicy(
    ProbeTemplate Path, IReadOnlyList<KeyValuePair<string, ProbeTemplate>> Headers, IReadOnlyList<int> Found, IReadOnlyList<int> Absent)
{
    /// <summary>Whose path <see cref="Path"/> is; null when nothing is written, which is <see cref="Policies.PathTransforms.Apply"/>.</summary>
    public PathTransforms? PathTransforms { get; init; }

    /// <summary>What an answer must have to count as found; null for its status alone.</summary>
    public ProbeMatch? Match { get; init; }

    /// <summary>
    /// How long an attempt must have sent nothing before "absent" counts. The lease, unless written: a slow backend may still be at it, and
    /// what a gateway sent before it died may still wait in the backend's queue.
    /// </summary>
    public required TimeSpan AbsentAfter { get; init; }

    /// <summary>Everything in which values of the request may stand.</summary>
    internal IEnumerable<ProbeTemplate> Templates => [Path, .. Headers.Select(header => header.Value), .. Match?.Json.Select(item => item.Value) ?? []];

    /// <summary>A value stands in the body.</summary>
    internal bool ReadsBody => Templates.Any(template => template.ReadsBody);
}

/// <summary>How an answer to a probe is told from a default page.</summary>
/// <param name="MediaType">Of its body, without parameters; null for any.</param>
/// <param name="Json">JSON pointers, and what text stands there.</param>
internal sealed record ProbeMatch(string? MediaType, IReadOnlyList<KeyValuePair<string, ProbeTemplate>> Json);

/// <summary>While a request is forwarded, no other one with the same values is, at any instance.</summary>
/// <param name="On">The values, all of them together.</param>
/// <param name="Contention">What a request does when another one holds the lock.</param>
/// <param name="MaxWait">The longest that it waits.</param>
/// <param name="MaxWaiters">How many wait for one lock at one instance; more are answered 409 at once.</param>
internal sealed record LockPolicy(IReadOnlyList<Selector> On, Contention Contention, TimeSpan MaxWait, int MaxWaiters);
