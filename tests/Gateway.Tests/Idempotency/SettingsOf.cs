using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;

namespace Gateway.Tests.Idempotency;

/// <summary>Settings in which one section matters.</summary>
internal static class SettingsOf
{
    private static readonly IdempotencySettings Defaults = new() { Policies = new Dictionary<string, IdempotencyPolicy>() };

    public static IdempotencySettings Encryption(EncryptionSettings? encryption) => Defaults with { Encryption = encryption };

    public static IdempotencySettings Secret(string secret) => Defaults with { Secret = secret };

    public static IdempotencySettings NearCopy(NearCopySettings nearCopy) => Defaults with { NearCopy = nearCopy };
}
