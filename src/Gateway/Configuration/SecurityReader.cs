using Idempotency.Storage;
using Idempotency.Yarp.Configuration;

namespace Gateway.Configuration;

/// <summary>Reads what must stay secret, and who is trusted: log-ins, TLS, and how tokens are validated.</summary>
internal static class SecurityReader
{
    /// <summary>The log-in of a section that may have one.</summary>
    public static RedisLogin ReadLogin(SettingsReader reader) => new()
    {
        User = reader.OptionalText("User"),
        Password = reader.OptionalText("Password") is { } password ? new SecretText(password) : null,
        PasswordFile = reader.OptionalText("PasswordFile"),
    };

    public static RedisTlsSettings ReadTls(SettingsReader reader)
    {
        var settings = new RedisTlsSettings
        {
            Enabled = reader.Flag("Enabled", fallback: false),
            CaFile = reader.OptionalText("CaFile"),
            ServerName = reader.OptionalText("ServerName"),
            CertificateFile = reader.OptionalText("CertificateFile"),
            KeyFile = reader.OptionalText("KeyFile"),
        };
        reader.RejectUnknown();
        return settings;
    }

    public static RedisSentinelSettings ReadSentinel(SettingsReader reader)
    {
        var settings = new RedisSentinelSettings { ServiceName = reader.OptionalText("ServiceName"), Login = ReadLogin(reader) };
        reader.RejectUnknown();
        return settings;
    }

    public static JwtSettings? ReadAuthentication(SettingsReader authentication)
    {
        var isWritten = authentication.IsWritten("Jwt");
        var reader = authentication.Section("Jwt");
        var settings = new JwtSettings
        {
            Authority = reader.OptionalText("Authority"),
            Issuer = reader.OptionalText("Issuer"),
            Audience = reader.OptionalText("Audience"),
            KeysFile = reader.OptionalText("KeysFile"),
        };
        reader.RejectUnknown();
        authentication.RejectUnknown();
        if (!isWritten)
        {
            return null;
        }

        CheckIssuer(settings, reader);
        if (settings.Audience is null)
        {
            reader.Errors.Add(reader.PathOf("Audience"), null, "expected the audience that tokens are for; a token for somebody else must not open this door");
        }

        return settings;
    }

    private static void CheckIssuer(JwtSettings settings, SettingsReader reader)
    {
        if ((settings.Authority is null) == (settings.KeysFile is null))
        {
            reader.Errors.Add(reader.PathOf("Authority"), null, "expected either an Authority (OpenID Connect discovery) or a KeysFile (a JSON Web Key Set)");
        }

        if (settings.KeysFile is { } file && settings.Issuer is null)
        {
            reader.Errors.Add(reader.PathOf("Issuer"), null, $"expected the issuer of the tokens whose keys are in {file}");
        }

        if (settings.Authority is { } authority && (!Uri.TryCreate(authority, UriKind.Absolute, out var address) || address.Scheme is not ("http" or "https")))
        {
            reader.Errors.Add(reader.PathOf("Authority"), SafeText.OfAddress(authority), "an address such as https://login.example/");
        }
        else if (settings.Authority is { } plain && new Uri(plain) is { Scheme: "http", IsLoopback: false })
        {
            reader.Errors.Add(reader.PathOf("Authority"), SafeText.OfAddress(plain), "https, because whoever answers in its place makes tokens for everybody");
        }
    }
}
