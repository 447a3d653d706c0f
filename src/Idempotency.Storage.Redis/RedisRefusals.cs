using System.Globalization;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Says why a server does not let the gateway in, by knocking at its door as the client would: connect, TLS, greeting, log-in. Nothing that
/// a server says is repeated: its errors may quote what it was sent.
/// </summary>
/// <param name="user">An ACL user, or null.</param>
/// <param name="password">What is sent for it.</param>
/// <param name="tls">Null for plain text.</param>
/// <param name="timeProvider">For the time limits.</param>
internal sealed class RedisRefusals(string? user, RedisPassword password, RedisTls? tls, TimeProvider timeProvider)
{
    private const string ClosedAfterHandshake =
        "the server ended the connection right after the TLS handshake: it asks for a client certificate that it trusts (Store:Redis:Tls:CertificateFile)";

    /// <summary>Of the second look, which only tells plain text and TLS apart.</summary>
    private static readonly TimeSpan LookPatience = TimeSpan.FromMilliseconds(500);

    /// <summary>More with TLS: the first handshake of a process reads the machine's authorities.</summary>
    private readonly TimeSpan _patience = TimeSpan.FromSeconds(tls is null ? 1 : 1.5);

    /// <summary>Why this end point is of no use; null when it lets the gateway in.</summary>
    public async Task<string?> WhyAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        try
        {
            using var knock = await OpenAsync(endPoint, cancellationToken);
            return null;
        }
        catch (StoreUnavailableException e)
        {
            return e.Message;
        }
    }

    /// <summary>A connection that is logged in.</summary>
    /// <exception cref="StoreUnavailableException">The server does not let the gateway in; the message says why.</exception>
    public async Task<RedisKnock> OpenAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        RedisKnock? knock = null;
        var isEncrypted = false;
        string? rejected = null;
        using var deadline = new CancellationTokenSource(_patience, timeProvider);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            knock = await RedisKnock.OpenAsync(endPoint, tls?.OptionsFor(HostOf(endPoint), reason => rejected = reason), bound.Token);
            isEncrypted = tls is not null;

            // Before the log-in: a port that does not speak the same language does not get the password.
            if (await knock.AskAsync(bound.Token, "PING") is RedisReplyError greeting && !RedisErrors.IsCode(greeting.Text, "NOAUTH") && !RedisErrors.IsCode(greeting.Text, "NOPERM"))
            {
                throw new StoreUnavailableException(RedisErrors.DescribeReply(greeting.Text));
            }

            await LogInAsync(knock, bound.Token);
            return knock;
        }
        catch (Exception e) when (!cancellationToken.IsCancellationRequested)
        {
            knock?.Dispose();
            throw e as StoreUnavailableException ?? new StoreUnavailableException(rejected ?? await ExplainAsync(e, endPoint, isEncrypted, cancellationToken), e);
        }
        catch
        {
            knock?.Dispose();
            throw;
        }
    }

    private async Task LogInAsync(RedisKnock knock, CancellationToken cancellationToken)
    {
        if (password.Current is { } secret
            && await knock.AskAsync(cancellationToken, user is null ? ["AUTH", secret] : ["AUTH", user, secret]) is RedisReplyError refusal)
        {
            throw new StoreUnavailableException(
                RedisErrors.IsCode(refusal.Text, "WRONGPASS") ? $"WRONGPASS, the {(user is null ? "password is wrong" : "user or the password is wrong")}"
                : refusal.Text.Contains("without any password configured", StringComparison.Ordinal) ? "the server has no password for the default user, and one is configured here"
                : refusal.Text.Contains("wrong number of arguments", StringComparison.Ordinal) ? "the server knows no users, which came with Redis 6"
                : RedisErrors.DescribeReply(refusal.Text));
        }

        if (await knock.AskAsync(cancellationToken, "PING") is RedisReplyError error)
        {
            throw new StoreUnavailableException(
                RedisErrors.IsCode(error.Text, "NOAUTH") ? "NOAUTH, the server asks for a password, and none is configured (Store:Redis:Password)" : RedisErrors.DescribeReply(error.Text));
        }
    }

    private async Task<string> ExplainAsync(Exception e, EndPoint endPoint, bool isEncrypted, CancellationToken cancellationToken)
    {
        if (e is SocketException { SocketErrorCode: var error } && NameOf(error) is { } reason)
        {
            return reason;
        }

        if (tls is null)
        {
            return await SpeaksAsync(endPoint, isTls: true, cancellationToken)
                ? "the server speaks TLS, and Store:Redis:Tls:Enabled is not set"
                : e is OperationCanceledException ? NoAnswer : "the connection was closed, or this is not a Redis server";
        }

        // With TLS 1.3 the server judges the client's certificate after the handshake.
        return isEncrypted && e is not OperationCanceledException ? ClosedAfterHandshake
            : await SpeaksAsync(endPoint, isTls: false, cancellationToken) ? "the server speaks plain text, and Store:Redis:Tls:Enabled is set"
            : e is OperationCanceledException ? NoAnswer
            : e is AuthenticationException or IOException ? "the TLS handshake failed: the server may ask for a client certificate (Store:Redis:Tls:CertificateFile), or offer no TLS 1.2 or 1.3"
            : "the TLS connection failed";
    }

    private string NoAnswer => string.Create(CultureInfo.InvariantCulture, $"no answer within {_patience.TotalSeconds:0.#} s");

    /// <summary>Whether the port speaks the other language. Nothing secret is sent.</summary>
    private async Task<bool> SpeaksAsync(EndPoint endPoint, bool isTls, CancellationToken cancellationToken)
    {
        using var deadline = new CancellationTokenSource(LookPatience, timeProvider);
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        var sawCertificate = false;
        try
        {
            using var knock = await RedisKnock.OpenAsync(
                endPoint,
                isTls ? new SslClientAuthenticationOptions { TargetHost = HostOf(endPoint), RemoteCertificateValidationCallback = (_, _, _, _) => !(sawCertificate = true) } : null,
                bound.Token);
            return !isTls && await knock.AskAsync(bound.Token, "PING") is string or RedisReplyError;
        }
        catch (Exception e) when (e is IOException or SocketException or AuthenticationException or InvalidDataException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            return sawCertificate;
        }
    }

    private string? NameOf(SocketError error) => error switch
    {
        SocketError.ConnectionRefused => "connection refused",
        SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => "the name does not resolve",
        SocketError.HostUnreachable or SocketError.NetworkUnreachable => "no route to the host",
        SocketError.TimedOut => NoAnswer,
        _ => null,
    };

    private static string HostOf(EndPoint endPoint) => endPoint switch
    {
        DnsEndPoint dns => dns.Host,
        IPEndPoint ip => ip.Address.ToString(),
        _ => "",
    };
}
