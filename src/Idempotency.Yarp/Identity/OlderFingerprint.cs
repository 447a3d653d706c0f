using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>
/// Fingerprints of releases before <see cref="RequestFingerprint.Version"/>, for what they left on record: an upgrade takes no retry for another
/// request. Plain SHA-256 of method, host and target byte for byte, header fields and body. 1: bodies byte for byte. 2: multipart/form-data part
/// by part, JSON as a value; what is the same by both was written as 1.
/// </summary>
internal static class OlderFingerprint
{
    private const byte Version = 2;
    private const byte RawBodies = 1;
    private const string ContentType = "Content-Type";

    /// <summary>Whether it is one of these.</summary>
    public static bool Knows(byte version) => version is RawBodies or Version;

    /// <param name="context">The request.</param>
    /// <param name="policy">What counts.</param>
    /// <param name="body">Read to its end, and set back.</param>
    /// <param name="content">The parsed body, when the policy looks into bodies.</param>
    /// <param name="question">What a probe would ask about it; null without.</param>
    /// <param name="version">One that <see cref="Knows"/>.</param>
    public static async ValueTask<Fingerprint> ComputeAsync(
        HttpContext context, IdempotencyPolicy policy, RequestBody body, RequestContent? content, ProbeQuestion? question, byte version)
    {
        // Where the newer algorithm makes no difference it is not named: an older release can still compare.
        var contentType = context.Request.ContentType;
        if (version != RawBodies && MultipartParts.FormBoundaryOf(contentType) is { } boundary)
        {
            var parts = policy.FingerprintBody == FingerprintBody.None
                ? default(Digest)
                : await body.ReadAgainAsync(stream => MultipartParts.DigestAsync(boundary, stream));
            if (parts is { } known)
            {
                return new Fingerprint(Version, Compute(context, policy, MultipartParts.WithoutBoundary(contentType!), known, question));
            }
        }

        return version != RawBodies && policy.FingerprintBody == FingerprintBody.Json && content is not null && await content.JsonDigestAsync(policy.FingerprintIgnore) is { } json
            ? new Fingerprint(Version, Compute(context, policy, null, json, question))
            : new Fingerprint(RawBodies, Compute(context, policy, null, body.Digest, question));
    }

    /// <param name="context">The request.</param>
    /// <param name="policy">What counts.</param>
    /// <param name="contentType">In the place of the request's own; null for that.</param>
    /// <param name="body">Of its bytes, or of what they mean.</param>
    private static Digest Compute(HttpContext context, IdempotencyPolicy policy, string? contentType, in Digest body, ProbeQuestion? question)
    {
        var request = context.Request;
        var hash = new FieldHash(stackalloc byte[512]);
        hash.Add(request.Method.ToUpperInvariant());
        hash.Add(request.Host.Value);
        hash.Add(RequestTarget.Of(context));
        foreach (var name in RequestFingerprint.AlwaysHashed)
        {
            Add(ref hash, name, request.Headers[name]);
        }

        foreach (var name in policy.FingerprintHeaders)
        {
            Add(ref hash, name, contentType is not null && name.Equals(ContentType, StringComparison.OrdinalIgnoreCase) ? contentType : request.Headers[name]);
        }

        if (policy.FingerprintBody != FingerprintBody.None)
        {
            hash.Add(body);
        }

        if (question is not null)
        {
            // A retry that would ask about something else is another request.
            hash.Add(question.Request.Target);
            foreach (var (field, (name, value)) in policy.Probe!.Headers.Zip(question.Request.Headers))
            {
                if (field.Value.Parts.Any(part => part.Literal is null))
                {
                    Add(ref hash, name, value);
                }
            }
        }

        return hash.Sha256();
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
