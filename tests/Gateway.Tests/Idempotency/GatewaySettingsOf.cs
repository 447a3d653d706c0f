using Gateway.Configuration;
using Gateway.Policies;
using Idempotency.Storage;

namespace Gateway.Tests.Idempotency;

/// <summary>Settings in which one section matters.</summary>
internal static class GatewaySettingsOf
{
    private static readonly GatewaySettings Defaults = new()
    {
        Store = new StoreSettings(),
        Admin = new AdminSettings(),
        Secret = null,
        ForwardedHeaders = new ForwardedHeadersSettings([], 1),
        Limits = new LimitSettings(),
        Jwt = null,
        Encryption = null,
        NearCopy = new NearCopySettings(),
        Policies = new Dictionary<string, IdempotencyPolicy>(),
        Routes = [],
        Clusters = [],
        Warnings = [],
    };

    public static GatewaySettings Encryption(EncryptionSettings? encryption) => Defaults with { Encryption = encryption };

    public static GatewaySettings Secret(string secret) => Defaults with { Secret = secret };

    public static GatewaySettings NearCopy(NearCopySettings nearCopy) => Defaults with { NearCopy = nearCopy };
}
