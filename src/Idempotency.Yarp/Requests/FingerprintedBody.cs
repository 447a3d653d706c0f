using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What a digest of a body is of.</summary>
internal enum BodyMeaning
{
    /// <summary>Its bytes.</summary>
    Bytes,

    /// <summary>The parts of a multipart body, without their boundary.</summary>
    Parts,

    /// <summary>A JSON value.</summary>
    Json,
}

/// <summary>A body as the fingerprint sees it.</summary>
/// <param name="Kind">What the digest is of.</param>
/// <param name="Digest">SHA-256.</param>
/// <param name="IsWithoutBoundary">The boundary in Content-Type does not count.</param>
internal readonly record struct FingerprintedBody(BodyMeaning Kind, Digest Digest, bool IsWithoutBoundary)
{
    /// <summary>Of multipart in multipart.</summary>
    private const int MaxDepth = 4;

    /// <summary>What cannot be read as what it claims to be counts byte for byte.</summary>
    public static async ValueTask<FingerprintedBody> ReadAsync(string? contentType, IdempotencyPolicy policy, RequestBody body, RequestContent? content)
    {
        if (MultipartParts.BoundaryOf(contentType) is { } boundary)
        {
            if (policy.FingerprintBody == FingerprintBody.None)
            {
                return new FingerprintedBody(BodyMeaning.Parts, default, IsWithoutBoundary: true);
            }

            if (await body.ReadAgainAsync(stream => MultipartParts.DigestAsync(boundary, stream, MaxDepth)) is { } parts)
            {
                return new FingerprintedBody(BodyMeaning.Parts, parts, IsWithoutBoundary: true);
            }
        }

        return policy.FingerprintBody == FingerprintBody.Json && content is not null && await content.JsonDigestAsync(policy.FingerprintIgnore) is { } json
            ? new FingerprintedBody(BodyMeaning.Json, json, IsWithoutBoundary: false)
            : new FingerprintedBody(BodyMeaning.Bytes, body.Digest, IsWithoutBoundary: false);
    }
}
