using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Gateway.Policies;
using Gateway.Storage;
using Microsoft.Extensions.Primitives;

namespace Gateway.Idempotency;

/// <summary>
/// What to ask about one request: everything that the sweeper needs when the request itself is gone. It may hold the key and values of
/// the request, so that it is sealed (AES-256-GCM, with a key derived from the store's secret) before it goes into the store.
/// </summary>
/// <param name="Policy">The policy's name.</param>
/// <param name="Cluster">Whose backend to ask.</param>
/// <param name="Target">Path and query.</param>
internal sealed record ProbeQuestion(string Policy, string Cluster, string Target)
{
    /// <returns>Null when the request has not the one value that the template needs.</returns>
    public static ProbeQuestion? TryCreate(IdempotencyPolicy policy, string cluster, RecordId id, string key, RequestValues values)
    {
        // As the backend knows it.
        var sentKey = policy.ForwardKey == ForwardKey.Derived ? RecordIds.DeriveKey(id) : key;
        var target = new StringBuilder();
        foreach (var part in policy.Probe!.Path.Parts)
        {
            if (part.Literal is not null)
            {
                target.Append(part.Literal);
                continue;
            }

            var found = part.Selector is null ? new StringValues(sentKey) : values.Of(part.Selector);
            if (found.Count != 1 || string.IsNullOrEmpty(found[0]) || values.Defect is not null)
            {
                return null;
            }

            target.Append(Uri.EscapeDataString(found[0]!));
        }

        // A value must not lead to another resource than the template names.
        if (target.ToString().Split('?')[0].Split('/').Any(segment => segment is "." or ".."))
        {
            return null;
        }

        return new ProbeQuestion(policy.Name, cluster, target.ToString());
    }

    /// <param name="secret">Of all instances.</param>
    /// <param name="id">The record that it belongs to; under another one it cannot be opened.</param>
    public byte[] Seal(byte[] secret, RecordId id)
    {
        var plain = JsonSerializer.SerializeToUtf8Bytes<string[]>([Policy, Cluster, Target]);
        var bytes = new byte[plain.Length + SealedBox.Overhead];
        SealedBox.Seal(KeyOf(secret), plain, id.Digest.ToArray(), bytes);
        return bytes;
    }

    /// <returns>Null when the bytes are not what this gateway, or another one with the same secret, has sealed.</returns>
    public static ProbeQuestion? TryOpen(byte[] secret, RecordId id, ReadOnlySpan<byte> bytes) =>
        SealedBox.TryOpen(KeyOf(secret), bytes, id.Digest.ToArray()) is { } plain && JsonSerializer.Deserialize<string[]>(plain) is [var policy, var cluster, var target]
            ? new ProbeQuestion(policy, cluster, target)
            : null;

    private static byte[] KeyOf(byte[] secret) => HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, Digest.Size, info: "probe"u8.ToArray());
}
