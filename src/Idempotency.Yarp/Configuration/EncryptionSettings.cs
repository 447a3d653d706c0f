namespace Idempotency.Yarp.Configuration;

/// <summary>The key ring of recorded answers (<c>Idempotency:Encryption</c>). Read at start only.</summary>
/// <param name="ActiveKey">The id of the key that new answers are sealed with.</param>
/// <param name="Keys">All keys by id, 32 bytes each: those that older answers were sealed with stay readable.</param>
/// <param name="AcceptUnsealed">Answers that were recorded before encryption was switched on are used.</param>
internal sealed record EncryptionSettings(string ActiveKey, IReadOnlyDictionary<string, byte[]> Keys, bool AcceptUnsealed)
{
    /// <summary>Never the keys: settings are printed.</summary>
    public override string ToString() => $"AES-256-GCM, {ActiveKey} of {string.Join(", ", Keys.Keys)}{(AcceptUnsealed ? ", unsealed accepted" : "")}";
}
