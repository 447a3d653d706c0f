using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>TLS by an own authority against a real server, and each way in which it can be wrong, with its reason.</summary>
public sealed class RedisTlsTests : IAsyncLifetime, IDisposable
{
    private readonly TestAuthority _authority = new();
    private readonly int _port = LoopbackPorts.Reserve();
    private RedisServer? _redis;

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync() => await (_redis?.DisposeAsync() ?? default);

    public void Dispose() => _authority.Dispose();

    [RedisTheory(ownServer: true)]
    [InlineData("TLSv1.2")]
    [InlineData("TLSv1.3")]
    public async Task AnOwnAuthority_AndAClientCertificate(string protocol)
    {
        await StartAsync(_authority.Issue("server", names: ["127.0.0.1"]), "--tls-protocols", protocol, "--tls-auth-clients", "yes");
        var (certificate, key) = _authority.Issue("client", names: ["client"]);

        await RedisDoor.AssertServesAsync(Settings(new() { CaFile = _authority.CaFile, CertificateFile = certificate, KeyFile = key }));
        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = _authority.CaFile }), "client certificate");

        using var others = new TestAuthority();
        var (foreign, foreignKey) = others.Issue("client", names: ["client"]);
        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = _authority.CaFile, CertificateFile = foreign, KeyFile = foreignKey }), "client certificate");
    }

    [RedisFact(ownServer: true)]
    public async Task AServerName_TakesThePlaceOfTheHost()
    {
        await StartAsync(_authority.Issue("server", names: ["redis.example"]));

        await RedisDoor.AssertServesAsync(Settings(new() { CaFile = _authority.CaFile, ServerName = "redis.example" }));
        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = _authority.CaFile }), "the certificate is not for the name 127.0.0.1");
        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = _authority.CaFile, ServerName = "other.example" }), "the certificate is not for the name other.example");
    }

    [RedisFact(ownServer: true)]
    public async Task ACertificate_OfAnAuthorityThatIsNotTrusted()
    {
        await StartAsync(_authority.Issue("server", names: ["127.0.0.1"]));
        using var others = new TestAuthority();

        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = others.CaFile }), "not of an authority that is trusted here");
        await RedisDoor.AssertRefusedAsync(Settings(new()), "not of an authority that is trusted here");
    }

    [RedisFact(ownServer: true)]
    public async Task ACertificate_ThatHasExpired()
    {
        await StartAsync(_authority.Issue("server", isExpired: true, "127.0.0.1"));

        await RedisDoor.AssertRefusedAsync(Settings(new() { CaFile = _authority.CaFile }), "the certificate has expired");
    }

    [RedisFact(ownServer: true)]
    public async Task TlsOnOneSideOnly_IsNamed_AndThePasswordIsNotSent()
    {
        await StartAsync(_authority.Issue("server", names: ["127.0.0.1"]));
        var login = new RedisLogin { Password = new SecretText("never-to-be-sent") };

        await RedisDoor.AssertRefusedAsync(
            new() { Configuration = Settings(new()).Configuration, Login = login }, "the server speaks TLS, and Store:Redis:Tls:Enabled is not set", "never-to-be-sent");
        await RedisDoor.AssertRefusedAsync(
            new() { Configuration = _redis!.Configuration, Login = login, Tls = new() { Enabled = true, CaFile = _authority.CaFile } },
            "the server speaks plain text, and Store:Redis:Tls:Enabled is set",
            "never-to-be-sent");
    }

    [RedisFact(ownServer: true)]
    public async Task AWrongPassword_OverTls_IsNamed()
    {
        await StartAsync(_authority.Issue("server", names: ["127.0.0.1"]));
        await _redis!.CommandAsync("ACL", "SETUSER", "gateway", "on", ">right", "~*", "&*", "+@all");

        await RedisDoor.AssertRefusedAsync(
            Settings(new() { CaFile = _authority.CaFile }) with { Login = new() { User = "gateway", Password = new SecretText("wrong-S3cr3t") } }, "WRONGPASS", "wrong-S3cr3t");
    }

    private async Task StartAsync((string CertificateFile, string KeyFile) certificate, params string[] settings) => _redis = await RedisServer.StartOwnAsync(
    [
        "--tls-port", _port.ToString(CultureInfo.InvariantCulture), "--tls-cert-file", certificate.CertificateFile, "--tls-key-file", certificate.KeyFile,
        "--tls-ca-cert-file", _authority.CaFile, "--tls-auth-clients", "no", .. settings,
    ]);

    private RedisStoreSettings Settings(RedisTlsSettings tls) => new()
    {
        Configuration = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{_port}"),
        Tls = tls with { Enabled = true },
    };
}
