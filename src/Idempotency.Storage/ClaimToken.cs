namespace Idempotency.Storage;

/// <summary>Proves ownership of a claim: random, made once per claim, compared first by every write of a store.</summary>
internal readonly record struct ClaimToken(Guid Value)
{
    /// <summary>Length in a store, in bytes.</summary>
    public const int Size = 16;

    public static ClaimToken Create() => new(Guid.NewGuid());

    /// <summary>Reads what <see cref="ToArray"/> writes.</summary>
    public static ClaimToken From(ReadOnlySpan<byte> bytes) => new(new Guid(bytes, bigEndian: true));

    public byte[] ToArray() => Value.ToByteArray(bigEndian: true);
}
