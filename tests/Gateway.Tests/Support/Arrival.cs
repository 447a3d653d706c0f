using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Gateway.Tests.Support;

/// <summary>
/// One request as the backend received it, written down after the last byte of its body. Target is exactly what stood in the
/// request line (HTTP/2: in <c>:path</c>), Key the Idempotency-Key header (several lines joined by commas, null without one),
/// BodySha256 is lower-case hexadecimal, and requests over one connection share a ConnectionId.
/// </summary>
public sealed record Arrival(
    string Method,
    string Target,
    string? Key,
    string BodySha256,
    byte[] Body,
    IReadOnlyList<KeyValuePair<string, string>> Headers,
    string ConnectionId,
    DateTimeOffset At)
{
    /// <summary>The one value, or null without the field; several lines fail the test.</summary>
    public string? Header(string name) => Http1Message.ValuesOf(Headers, name).SingleOrDefault();

    internal static Arrival Of(HttpContext context, byte[] body) => new(
        context.Request.Method,
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget,
        context.Request.Headers.TryGetValue("Idempotency-Key", out var key) ? key.ToString() : null,
        Convert.ToHexStringLower(SHA256.HashData(body)),
        body,
        [.. context.Request.Headers.SelectMany(field => field.Value, (field, value) => KeyValuePair.Create(field.Key, value ?? ""))],
        context.Connection.Id,
        TimeProvider.System.GetUtcNow());
}
