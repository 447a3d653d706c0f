using System.Security.Cryptography;

namespace Idempotency.Storage.Redis;

/// <summary>What is wrong with the section <c>Store:Redis</c>. Values are not repeated: any of them may hold a credential.</summary>
internal static class RedisMistakes
{
    /// <returns>The setting below <c>Store:Redis</c>, and what was expected.</returns>
    public static IReadOnlyList<(string Setting, string Expected)> Find(RedisStoreSettings settings)
    {
        var mistakes = RedisAddresses.FindMistakes(settings.Configuration).Select(expected => ("Configuration", expected)).ToList();
        CheckLogin(settings.Login, "", mistakes);
        CheckSentinel(settings.Sentinel, mistakes);
        CheckTls(settings.Tls, mistakes);
        if (!settings.Tls.Enabled && RedisAddresses.HasOption(settings.Configuration, "checkCertificateRevocation"))
        {
            mistakes.Add(("Tls:Enabled", "expected true, because Configuration has the option checkCertificateRevocation"));
        }

        return mistakes;
    }

    private static void CheckLogin(RedisLogin login, string path, List<(string, string)> mistakes)
    {
        if (login is { Password: not null, PasswordFile: not null })
        {
            mistakes.Add(($"{path}PasswordFile", "expected either Password or PasswordFile, not both"));
        }
        else if (login is { User: not null, Password: null, PasswordFile: null })
        {
            mistakes.Add(($"{path}Password", "expected a password, or a PasswordFile, because there is a User"));
        }

        if (login.PasswordFile is { } file)
        {
            CheckFile($"{path}PasswordFile", () => RedisPassword.Read(file), mistakes);
        }
    }

    private static void CheckSentinel(RedisSentinelSettings sentinel, List<(string, string)> mistakes)
    {
        if (sentinel.ServiceName is null && sentinel.Login != new RedisLogin())
        {
            mistakes.Add(("Sentinel:ServiceName", "expected the name that the Sentinels know the master by, because there are credentials for them"));
        }

        CheckLogin(sentinel.Login, "Sentinel:", mistakes);
    }

    private static void CheckTls(RedisTlsSettings tls, List<(string, string)> mistakes)
    {
        if (!tls.Enabled && tls != new RedisTlsSettings())
        {
            mistakes.Add(("Tls:Enabled", "expected true, because there are other settings of TLS"));
        }

        if (tls is { KeyFile: not null, CertificateFile: null })
        {
            mistakes.Add(("Tls:CertificateFile", "expected the certificate that KeyFile belongs to"));
        }

        if (tls.ServerName is { } name && Uri.CheckHostName(name) == UriHostNameType.Unknown)
        {
            mistakes.Add(("Tls:ServerName", "expected a name or an address, such as redis.example"));
        }

        CheckFile("Tls:CaFile", () => RedisTls.ReadAuthorities(tls), mistakes);
        if (tls.KeyFile is { } keyFile && tls.CertificateFile is not null)
        {
            CheckFile("Tls:KeyFile", () => File.ReadAllText(keyFile), mistakes);
        }

        CheckFile("Tls:CertificateFile", () => RedisTls.ReadCertificate(tls), mistakes);
    }

    private static void CheckFile(string setting, Action read, List<(string, string)> mistakes)
    {
        try
        {
            read();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException or CryptographicException or NotSupportedException)
        {
            mistakes.Add((setting, e switch
            {
                FileNotFoundException or DirectoryNotFoundException => "the file does not exist",
                UnauthorizedAccessException => "the file may not be read",
                ArgumentException when setting.EndsWith("PasswordFile", StringComparison.Ordinal) => "the file is empty",
                IOException => "the file cannot be read",
                _ when setting == "Tls:CertificateFile" => "expected a certificate in PEM, with its key in KeyFile or in the same file",
                _ => "expected certificates in PEM",
            }));
        }
    }
}
