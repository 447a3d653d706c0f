using System.Buffers;

namespace Idempotency.Storage;

/// <summary>
/// Names a key's record in the store: HMAC-SHA256(secret, policy, scope, key). Fixed length, so that no client-chosen byte
/// ever becomes part of a store key, and keyed, so that whoever reads the store cannot guess keys or credentials from it.
/// </summary>
internal readonly record struct RecordId(Digest Digest)
{
    /// <summary>How many buckets (Redis Cluster hash tags) records are spread over.</summary>
    public const int Buckets = 1024;

    public int Bucket => (int)(Digest.A >> 54);

    /// <summary>Eight hexadecimal digits for log lines: enough to follow one key, too few to look it up.</summary>
    public string Short => ((uint)(Digest.A >> 32)).ToString("x8", null);

    /// <summary>Reads what <see cref="ToString"/> writes.</summary>
    public static bool TryParse(string? text, out RecordId id)
    {
        Span<byte> bytes = stackalloc byte[Digest.Size];
        var isId = text?.Length == 2 * Digest.Size && Convert.FromHexString(text, bytes, out _, out _) == OperationStatus.Done;
        id = isId ? new RecordId(Digest.From(bytes)) : default;
        return isId;
    }

    public override string ToString() => Digest.ToString();
}
