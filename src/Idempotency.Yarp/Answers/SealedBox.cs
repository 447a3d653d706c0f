using System.Security.Cryptography;

namespace Idempotency.Yarp;

/// <summary>
/// AES-256-GCM: a random nonce (12 bytes), the sealed bytes, and their tag (16). One key is good for 2^32 boxes (NIST SP 800-38D,
/// section 8.3).
/// </summary>
internal static class SealedBox
{
    /// <summary>What a box is longer than what is in it, in bytes.</summary>
    public const int Overhead = NonceSize + TagSize;

    private const int NonceSize = 12;
    private const int TagSize = 16;

    /// <param name="key">32 bytes.</param>
    /// <param name="plain">What is sealed.</param>
    /// <param name="associated">Sealed in without being in the box.</param>
    /// <param name="box">As long as <paramref name="plain"/> and <see cref="Overhead"/>.</param>
    public static void Seal(byte[] key, ReadOnlySpan<byte> plain, ReadOnlySpan<byte> associated, Span<byte> box)
    {
        RandomNumberGenerator.Fill(box[..NonceSize]);
        using var aes = new AesGcm(key, TagSize);
        aes.Encrypt(box[..NonceSize], plain, box.Slice(NonceSize, plain.Length), box[^TagSize..], associated);
    }

    /// <returns>Null when the box is too short, was edited, or belongs to another key or other associated bytes.</returns>
    public static byte[]? TryOpen(byte[] key, ReadOnlySpan<byte> box, ReadOnlySpan<byte> associated)
    {
        if (box.Length < Overhead)
        {
            return null;
        }

        var plain = new byte[box.Length - Overhead];
        using var aes = new AesGcm(key, TagSize);
        try
        {
            aes.Decrypt(box[..NonceSize], box[NonceSize..^TagSize], box[^TagSize..], plain, associated);
            return plain;
        }
        catch (AuthenticationTagMismatchException)
        {
            return null;
        }
    }
}
