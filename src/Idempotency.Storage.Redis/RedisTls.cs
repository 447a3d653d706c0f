using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Idempotency.Storage.Redis;

/// <summary>
/// How a connection is encrypted, for the client and for <see cref="RedisKnock"/> alike. The files are read at every connect; when one
/// cannot be, for instance while it is being replaced, what was read last counts.
/// </summary>
/// <param name="settings">With <c>Enabled</c>.</param>
/// <param name="checksRevocation">Whether revocation lists are asked for.</param>
internal sealed class RedisTls(RedisTlsSettings settings, bool checksRevocation)
{
    private X509Certificate2Collection? _authorities;
    private SslStreamCertificateContext? _certificate;

    /// <param name="host">Of the end point.</param>
    /// <param name="rejected">Told why a certificate is not accepted.</param>
    public SslClientAuthenticationOptions OptionsFor(string host, Action<string>? rejected = null)
    {
        try
        {
            _authorities = ReadAuthorities(settings);
            _certificate = ReadCertificate(settings);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException or ArgumentException)
        {
            // Both were read when the configuration was checked.
        }

        var target = settings.ServerName ?? host;
        var policy = new X509ChainPolicy
        {
            RevocationMode = checksRevocation ? X509RevocationMode.Online : X509RevocationMode.NoCheck,
            RevocationFlag = X509RevocationFlag.ExcludeRoot,
        };
        if (_authorities is { } authorities)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(authorities);
            policy.ExtraStore.AddRange(authorities); // intermediates that the server does not send
        }

        return new SslClientAuthenticationOptions
        {
            TargetHost = target,
            EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
            CertificateChainPolicy = policy,
            ClientCertificateContext = _certificate,
            RemoteCertificateValidationCallback = (_, _, chain, errors) =>
            {
                if (errors == SslPolicyErrors.None)
                {
                    return true;
                }

                rejected?.Invoke(Explain(errors, chain, target));
                return false;
            },
        };
    }

    /// <summary>The roots of <c>CaFile</c>, or null without one.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="CryptographicException">It is not PEM.</exception>
    /// <exception cref="ArgumentException">It has no certificate.</exception>
    public static X509Certificate2Collection? ReadAuthorities(RedisTlsSettings settings)
    {
        if (settings.CaFile is not { } file)
        {
            return null;
        }

        var authorities = new X509Certificate2Collection();
        authorities.ImportFromPemFile(file);
        return authorities.Count > 0 ? authorities : throw new ArgumentException("the file has no certificate in PEM");
    }

    /// <summary>The gateway's own certificate with its key and intermediates, or null without one.</summary>
    /// <inheritdoc cref="ReadAuthorities"/>
    public static SslStreamCertificateContext? ReadCertificate(RedisTlsSettings settings)
    {
        if (settings.CertificateFile is not { } file)
        {
            return null;
        }

        var all = new X509Certificate2Collection();
        all.ImportFromPemFile(file);
        return SslStreamCertificateContext.Create(X509Certificate2.CreateFromPemFile(file, settings.KeyFile), all, offline: true);
    }

    private static string Explain(SslPolicyErrors errors, X509Chain? chain, string target)
    {
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNotAvailable))
        {
            return "the server shows no certificate";
        }

        var status = (chain?.ChainStatus ?? []).Aggregate(X509ChainStatusFlags.NoError, (all, one) => all | one.Status);
        // A signature that does not fit: another authority of the same name.
        return (status & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain | X509ChainStatusFlags.NotSignatureValid)) != 0 ? "the certificate is not of an authority that is trusted here (Store:Redis:Tls:CaFile)"
            : status.HasFlag(X509ChainStatusFlags.NotTimeValid) ? "the certificate has expired, or is not valid yet"
            : status.HasFlag(X509ChainStatusFlags.Revoked) ? "the certificate was revoked"
            : errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch) ? $"the certificate is not for the name {SafeText.OfHost(target)} (Store:Redis:Tls:ServerName)"
            : $"the certificate is not accepted ({status})";
    }
}
