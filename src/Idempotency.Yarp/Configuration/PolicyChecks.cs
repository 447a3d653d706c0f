using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Configuration;

/// <summary>What settings of one policy say against each other, and what they weaken.</summary>
internal static class PolicyChecks
{
    /// <summary>The largest body that is held in memory as a whole, in bytes.</summary>
    private const long MaxParsedBodyBytes = 16 * 1024 * 1024;

    public static void Check(IdempotencyPolicy policy, SettingsReader reader)
    {
        CheckContradictions(policy, reader);
        WarnOfWeakness(policy, reader);
    }

    private static void CheckContradictions(IdempotencyPolicy policy, SettingsReader reader)
    {
        void Error(string key, string? value, string expected) => reader.Errors.Add(reader.PathOf(key), value, value is null ? $"expected {expected}" : expected);

        if (policy.Methods.Count == 0)
        {
            Error("Methods", null, "at least one method; a policy without methods protects nothing");
        }

        if (policy.Key.Count == 0 && policy.Lock is null)
        {
            Error("Key", null, "at least one selector, such as header:Idempotency-Key; only a policy with a Lock may do without");
        }

        if (policy.Key.Count == 0 && policy.Mode == PolicyMode.Observe)
        {
            Error("Mode", "Observe", "Required or Optional, because there is no Key to observe");
        }

        if (policy.Retention <= policy.Lease)
        {
            Error("Retention", $"{policy.Retention:c}", $"more than the Lease ({policy.Lease:c}): a record must outlive its claim");
        }

        var both = policy.ReleaseStatuses.Intersect(policy.UncertainStatuses).ToList();
        if (both.Count > 0)
        {
            Error("Response:Release", string.Join(", ", both), "no status that Response:Uncertain lists too");
        }

        if (policy.FingerprintIgnore.Count > 0 && policy.FingerprintBody != FingerprintBody.Json)
        {
            Error("Fingerprint:Ignore", string.Join(", ", policy.FingerprintIgnore), "Fingerprint:Body to be Json, because it names places in a JSON body");
        }

        if (policy.UncertainRetries == UncertainRetries.Probe && policy.Probe is null)
        {
            Error("Uncertain:Probe:Path", null, "the path to ask, such as /payments?ref={key}");
        }

        if (policy.UncertainRetries != UncertainRetries.Probe && policy.Probe is not null)
        {
            Error("Uncertain:Probe", null, "Uncertain:Retries to be Probe, or no Probe");
        }

        if (policy.ForwardKey == ForwardKey.Strip)
        {
            // A field may hold a credential beside the key: it is not repeated.
            foreach (var template in policy.Probe?.Templates.Where(template => template.NamesKey) ?? [])
            {
                var isPath = template == policy.Probe!.Path;
                Error(isPath ? "Uncertain:Probe:Path" : "Uncertain:Probe", isPath ? template.Text : null, "no {key}, because ForwardKey is Strip and the backend does not know it");
            }
        }

        if (policy.Probe?.Match is { MediaType: null, Json.Count: 0 })
        {
            Error("Uncertain:Probe:Match", null, "a MediaType or Json: what must an answer have to count as found?");
        }

        if (policy.ParsesBody && policy.MaxRequestBodyBytes > MaxParsedBodyBytes)
        {
            Error("MaxRequestBodyBytes", $"{policy.MaxRequestBodyBytes}", $"at most {MaxParsedBodyBytes} bytes, because the policy looks into bodies and holds them in memory");
        }
    }

    private static void WarnOfWeakness(IdempotencyPolicy policy, SettingsReader reader)
    {
        void Warn(string key, string message) => reader.Errors.Warn(reader.PathOf(key), message);

        if (policy.Mode == PolicyMode.Observe)
        {
            Warn("Mode", "Observe: nothing is protected; every request is forwarded, and answers only tell what would have happened");
        }

        if (policy.ReleaseStatuses.Any(status => status is < 400 or 500))
        {
            Warn("Response:Release", "frees the key after answers that may follow an execution; a retry then runs again");
        }

        if (policy.Scope.Count == 0)
        {
            Warn("Scope", "global: whoever knows a key gets its answer, whatever their credentials");
        }

        if (policy.Scope.Any(selector => selector.IsField("Cookie")))
        {
            Warn("Scope", "header:Cookie: any cookie that changes between tries, such as one of analytics, makes the retry another caller's, and it runs again; name the cookie that says who the caller is: cookie:NAME");
        }

        if (policy.StoreDown == StoreDown.Bypass)
        {
            Warn("StoreDown", "Bypass: while the store is down, requests are forwarded unprotected");
        }

        if (policy.UncertainRetries == UncertainRetries.Retry)
        {
            Warn("Uncertain:Retries", "Retry: a request whose outcome is not known is forwarded again; right only for a backend that checks keys itself");
        }

        if (policy.Probe is { Match: null } probe)
        {
            Warn("Uncertain:Probe", $"without Match any answer with status {string.Join(" or ", probe.Found)} counts as found, a default page too; name what the answer must have");
        }

        if (policy is { ForwardKey: ForwardKey.AsIs, Scope.Count: > 0, Probe.Path: { NamesKey: true } path } && !policy.Scope.Any(path.Selectors.Contains))
        {
            Warn("Uncertain:Probe:Path", "asks by the client's key alone: where callers may use equal keys, one gets what is found of another; use ForwardKey Derived, or name the scope in the path");
        }

        if (policy.Delivery == Delivery.Streamed)
        {
            Warn("Response:Delivery", "Streamed: a client may have seen bytes of an answer that ends uncertain");
        }
    }
}
