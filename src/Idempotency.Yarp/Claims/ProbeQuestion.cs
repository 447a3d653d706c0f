using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>
/// What to ask about one request: everything that the sweeper needs when the request itself is gone. It may hold the key and values of
/// the request, so that it is sealed (AES-256-GCM, with a key derived from the store's secret) before it goes into the store.
/// </summary>
/// <param name="Policy">The policy's name.</param>
/// <param name="Request">What goes out, and which way.</param>
/// <param name="Expected">JSON pointers, and what must stand there in an answer that counts as found.</param>
internal sealed record ProbeQuestion(string Policy, ProbeRequest Request, IReadOnlyList<KeyValuePair<string, string>> Expected)
{
    /// <summary>
    /// Of the sealed form, <c>[version, question]</c>. Release 0.1.0 sealed <c>[policy, cluster, target]</c>, which does not say which way
    /// the request went: what came of it is asked when its retry comes. 0.1.0 takes two items for nothing that it knows.
    /// </summary>
    private const string Version = "2";

    /// <summary>A question with a part missing is none.</summary>
    private static readonly JsonSerializerOptions Strict = new() { RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true };

    /// <returns>Null when the request has not the one value that a template needs.</returns>
    public static ProbeQuestion? TryCreate(IdempotencyPolicy policy, ProbeOrigin origin, RecordId id, string key, RequestValues values)
    {
        var probe = policy.Probe!;
        var sentKey = policy.ForwardKey == ForwardKey.Derived ? RecordIds.DeriveKey(id) : key; // as the backend knows it
        string? Fill(ProbeTemplate template, Func<string, string> encode) => ProbeQuestion.Fill(template, sentKey, values, encode);

        // A value must not lead to another resource than the template names.
        var target = Fill(probe.Path, Uri.EscapeDataString);
        if (target is null || target.Split('?')[0].Split('/').Any(segment => segment is "." or ".."))
        {
            return null;
        }

        // Nor must a field say something else than the value.
        var headers = probe.Headers.Select(header => (header.Key, Value: Fill(header.Value, AsIs), IsFixed: header.Value.Parts.All(part => part.Literal is not null))).ToList();
        if (headers.Any(header => header.Value is null || (!header.IsFixed && header.Value.Any(c => c is < ' ' or > '~'))))
        {
            return null;
        }

        var expected = (probe.Match?.Json ?? []).Select(item => (item.Key, Value: Fill(item.Value, AsIs))).ToList();
        if (expected.Any(item => item.Value is null))
        {
            return null;
        }

        var request = new ProbeRequest(
            origin, target, probe.PathTransforms == PathTransforms.Skip, [.. headers.Select(header => KeyValuePair.Create(header.Key, header.Value!))]);
        return new ProbeQuestion(policy.Name, request, [.. expected.Select(item => KeyValuePair.Create(item.Key, item.Value!))]);
    }

    /// <summary>Whether an answer can be told by this policy, which may be another one by now than the request's.</summary>
    public bool Fits(ProbePolicy probe) => (probe.Match?.Json ?? []).Select(item => item.Key).SequenceEqual(Expected.Select(item => item.Key));

    /// <param name="secret">Of all instances.</param>
    /// <param name="id">The record that it belongs to; under another one it cannot be opened.</param>
    public byte[] Seal(byte[] secret, RecordId id)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes<string[]>([Version, JsonSerializer.Serialize(this, Strict)]);
        var bytes = new byte[plain.Length + SealedBox.Overhead];
        SealedBox.Seal(KeyOf(secret), plain, id.Digest.ToArray(), bytes);
        return bytes;
    }

    /// <returns>Null when the bytes are not what this release, or another gateway with the same secret, has sealed.</returns>
    public static ProbeQuestion? TryOpen(byte[] secret, RecordId id, ReadOnlySpan<byte> bytes) =>
        SealedBox.TryOpen(KeyOf(secret), bytes, id.Digest.ToArray()) is { } plain && JsonSerializer.Deserialize<string[]>(plain) is [Version, var question]
            ? JsonSerializer.Deserialize<ProbeQuestion>(question, Strict)
            : null;

    private static string? Fill(ProbeTemplate template, string key, RequestValues values, Func<string, string> encode)
    {
        var text = new StringBuilder();
        foreach (var part in template.Parts)
        {
            if (part.Literal is not null)
            {
                text.Append(part.Literal);
                continue;
            }

            var found = part.Selector is null ? new StringValues(key) : values.Of(part.Selector);
            if (found.Count != 1 || string.IsNullOrEmpty(found[0]) || values.Defect is not null)
            {
                return null;
            }

            text.Append(encode(found[0]!));
        }

        return text.ToString();
    }

    private static string AsIs(string value) => value;

    private static byte[] KeyOf(byte[] secret) => HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, Digest.Size, info: "probe"u8.ToArray());
}
