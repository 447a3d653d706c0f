using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Configuration;

/// <summary>Reads the section <c>Idempotency</c>, and <c>Limits</c>.</summary>
internal static class IdempotencyReader
{
    /// <summary>Shorter secrets could be guessed from a leaked record id.</summary>
    private const int MinSecretLength = 32;

    /// <summary>Of AES-256, in bytes.</summary>
    private const int KeySize = 32;

    /// <summary>A byte of length in every sealed answer.</summary>
    private const int MaxKeyIdLength = 32;

    public static IdempotencySettings Read(SettingsReader reader)
    {
        var secret = ReadSecret(reader);
        var encryption = ReadEncryption(reader);
        var nearCopy = ReadNearCopy(reader.Section("NearCopy"));
        var policies = ReadPolicies(reader.Section("Policies"));
        reader.RejectUnknown();
        return new IdempotencySettings { Policies = policies, Secret = secret, Encryption = encryption, NearCopy = nearCopy };
    }

    public static LimitSettings ReadLimits(SettingsReader reader, IReadOnlyDictionary<string, IdempotencyPolicy> policies)
    {
        var defaults = new LimitSettings();
        var limits = new LimitSettings
        {
            BufferedBytes = reader.Number("BufferedBytes", defaults.BufferedBytes, 1024 * 1024, 1024L * 1024 * 1024 * 1024, "bytes"),
            RequestBodyTimeout = reader.Duration("RequestBodyTimeout", defaults.RequestBodyTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)),
            SlowReader = reader.Duration("SlowReader", defaults.SlowReader, TimeSpan.FromSeconds(1), TimeSpan.FromHours(1)),
            MaxWaiters = (int)reader.Number("MaxWaiters", defaults.MaxWaiters, 1, 100_000, "requests"),
        };
        reader.RejectUnknown();
        var largest = policies.Values.Max(policy => policy.MaxAnswerBytes);
        if (limits.BufferedBytes / 4 < largest)
        {
            reader.Errors.Warn(reader.PathOf("BufferedBytes"), $"answers of Response:MaxBodyBytes ({largest}) may find no room; it should be at least four times as large");
        }

        foreach (var policy in policies.Values.Where(policy => policy.ParsesBody && policy.MaxRequestBodyBytes > limits.BufferedBytes / 16))
        {
            reader.Errors.Warn(reader.PathOf("BufferedBytes"), $"bodies of MaxRequestBodyBytes ({policy.MaxRequestBodyBytes}) of the policy {policy.Name}, which looks into them, may find no room; it should be at least sixteen times as large");
        }

        return limits;
    }

    /// <param name="section">Where policies are written, for messages.</param>
    /// <param name="policies">All of them.</param>
    /// <param name="storeTimeout">The longest that one store call may take.</param>
    /// <param name="errors">Taken down here.</param>
    public static void CheckLeases(string section, IReadOnlyDictionary<string, IdempotencyPolicy> policies, TimeSpan storeTimeout, ConfigurationErrors errors)
    {
        foreach (var policy in policies.Values.Where(policy => policy.Lease < 2 * storeTimeout))
        {
            errors.Add(
                $"{section}:Policies:{policy.Name}:Lease", $"{policy.Lease:c}", $"at least twice the Store:Timeout ({storeTimeout:c}): a lease must outlive a slow renewal");
        }
    }

    private static string? ReadSecret(SettingsReader reader)
    {
        var secret = reader.OptionalText("Secret");
        if (secret is { Length: < MinSecretLength })
        {
            reader.Errors.Add(reader.PathOf("Secret"), null, $"expected at least {MinSecretLength} characters, the same for all instances; found {secret.Length}");
        }

        return secret;
    }

    private static EncryptionSettings? ReadEncryption(SettingsReader idempotency)
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

    private static NearCopySettings ReadNearCopy(SettingsReader reader)
    {
        var defaults = new NearCopySettings();
        var settings = new NearCopySettings
        {
            MaxEntries = (int)reader.Number("MaxEntries", defaults.MaxEntries, 0, 10_000_000, "answers"),
            MaxBytes = reader.Number("MaxBytes", defaults.MaxBytes, 0, 1024L * 1024 * 1024 * 1024, "bytes"),
        };
        reader.RejectUnknown();
        return settings;
    }

    private static Dictionary<string, IdempotencyPolicy> ReadPolicies(SettingsReader reader)
    {
        // Like every name in a configuration: an environment variable may spell it in upper case.
        var policies = new Dictionary<string, IdempotencyPolicy>(StringComparer.OrdinalIgnoreCase)
        {
            [IdempotencyPolicy.DefaultName] = new() { Name = IdempotencyPolicy.DefaultName },
        };
        foreach (var name in reader.Names())
        {
            policies[name] = PolicyReader.Read(name, reader.Section(name));
        }

        return policies;
    }

    private enum UnsealedAnswers
    {
        Refuse,
        Accept,
    }
}
