using Gateway.Policies;
using Idempotency.Storage;

namespace Gateway.Configuration;

/// <summary>Reads what must stay secret, and who is trusted: the secret, the key ring, log-ins, TLS, and how tokens are validated.</summary>
internal static class SecurityReader
{
    /// <summary>Shorter secrets could be guessed from a leaked record id.</summary>
    private const int MinSecretLength = 32;

    /// <summary>Of AES-256, in bytes.</summary>
    private const int KeySize = 32;

    /// <summary>A byte of length in every sealed answer.</summary>
    private const int MaxKeyIdLength = 32;

    public static string? ReadSecret(SettingsReader reader)
    {
        var secret = reader.OptionalText("Secret");
        if (secret is { Length: < MinSecretLength })
        {
            reader.Errors.Add(reader.PathOf("Secret"), null, $"expected at least {MinSecretLength} characters, the same for all instances; found {secret.Length}");
        }

        return secret;
    }

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

    public static EncryptionSettings? ReadEncryption(SettingsReader idempotency)
    {
        var isWritten = idempotency.IsWritten("Encryption");
        var reader = idempotency.Section("Encryption");
        var active = reader.OptionalText("ActiveKey");
        var written = reader.Section("Keys");
        var unsealed = reader.Choice("Unsealed", UnsealedAnswers.Refuse);
        reader.RejectUnknown();
        var keys = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        foreach (var id in written.Names())
        {
            // The value is a secret, and so may be what stands in the place of an id: neither is repeated.
            var bytes = new byte[KeySize + 1];
            if (id.Length > MaxKeyIdLength || !HttpToken.IsToken(id))
            {
                reader.Errors.Add(reader.PathOf("Keys"), null, $"expected an id of 1 to {MaxKeyIdLength} letters, digits and - . _");
            }
            else if (!Convert.TryFromBase64String(written.OptionalText(id) ?? "", bytes, out var length) || length != KeySize)
            {
                reader.Errors.Add(written.PathOf(id), null, $"expected {KeySize} bytes in base64, such as openssl rand -base64 {KeySize} makes");
            }
            else
            {
                keys[id] = bytes[..KeySize];
            }
        }

        if (!isWritten)
        {
            return null;
        }

        if (active is null || !written.Names().Contains(active))
        {
            reader.Errors.Add(reader.PathOf("ActiveKey"), null, "expected the id of one of Keys");
            return null;
        }

        if (unsealed == UnsealedAnswers.Accept)
        {
            reader.Errors.Warn(reader.PathOf("Unsealed"), "Accept: an answer that somebody wrote into the store is believed; go back to Refuse when the longest retention is over");
        }

        return new EncryptionSettings(active, keys, unsealed == UnsealedAnswers.Accept);
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

    private enum UnsealedAnswers
    {
        Refuse,
        Accept,
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
