using System.Buffers;

namespace Idempotency.Storage;

/// <summary>
/// Names a key's record in the store: HMAC-SHA256(secret, policy, scope, key). Fixed length, so that no client-chosen byte
/// ever becomes part of a store key, and keyed, so that whoever reads the store cannot guess keys or credentials from it.
/// </summary>
/// <param name="Digest">The HMAC (RFC 2104).</param>
public readonly record struct RecordId(Digest Digest)
{
    /// <summary>How many buckets (Redis Cluster hash tags) records are spread over.</summary>
    internal const int Buckets = 1024;

    internal int Bucket => (int)(Digest.A >> 54);

    /// <summary>Eight hexadecimal digits for log lines: enough to follow one key, too few to look it up.</summary>
    internal string Short => ((uint)(Digest.A >> 32)).ToString("x8", null);

    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    /// <returns>False when <paramref name="text"/> is not 64 hexadecimal digits.</returns>
    public static bool TryParse(string? text, out RecordId id)
    {
        Span<byte> bytes = stackalloc byte[Digest.Size];
        var isId = text?.Length == 2 * Digest.Size && Convert.FromHexString(text, bytes, out _, out _) == OperationStatus.Done;
        id = isId ? new RecordId(Digest.From(bytes)) : default;
        return isId;
    }

    /// <summary>64 lower-case hexadecimal digits. A store writes no more than the first eight of them into a log: enough to follow one key, too few to look it up.</summary>
    public override string ToString() => Digest.ToString();
}
