using Gateway.Forwarding;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.Extensions.Primitives;

namespace Gateway.Idempotency;

/// <summary>
/// What makes a request the same request (draft-ietf-httpapi-idempotency-key-header-07, section 2.4): method, host and target, the body,
/// the policy's header fields, and those fields that change what a request means, wherever they come from.
/// </summary>
internal static class RequestFingerprint
{
    /// <summary>The algorithm; part of every record. A change of what is hashed is a new version.</summary>
    public const byte Version = 1;

    /// <summary>Always part of the fingerprint: preconditions, ranges, content coding and method overrides.</summary>
    public static readonly IReadOnlyList<string> AlwaysHashed =
    [
        "Content-Encoding", "Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range",
        "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
    ];

    public static Fingerprint Compute(HttpContext context, IdempotencyPolicy policy, in Digest body)
    {
        var request = context.Request;
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add(request.Method.ToUpperInvariant());
        hash.Add(request.Host.Value ?? "");
        hash.Add(RequestTarget.Of(context));
        foreach (var name in AlwaysHashed)
        {
            Add(ref hash, name, request.Headers[name]);
        }

        foreach (var name in policy.FingerprintHeaders)
        {
            Add(ref hash, name, request.Headers[name]);
        }

        if (policy.FingerprintBody == FingerprintBody.Raw)
        {
            hash.Add(body);
        }

        return new Fingerprint(Version, hash.Sha256());
    }

    private static void Add(ref FieldHash hash, string name, in StringValues values)
    {
        if (values.Count == 0)
        {
            return;
        }

        hash.Add(name.ToUpperInvariant());
        hash.Add(values.Count);
        foreach (var value in values)
        {
            hash.Add(value);
        }
    }
}
