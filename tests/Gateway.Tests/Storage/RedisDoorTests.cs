using System.Net.Sockets;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Logging.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>A server that does not let the gateway in is named with its reason, in log and readiness, within three seconds.</summary>
public sealed class RedisDoorTests
{
    private const string Right = "right-S3cr3t";
    private const string Wrong = "wrong-S3cr3t";

    [RedisFact(ownServer: true)]
    public async Task PasswordsAndUsers()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await redis.CommandAsync("ACL", "SETUSER", "somebody", "on", ">" + Right, "~*", "&*", "+@all");

        await RedisDoor.AssertRefusedAsync(Login(redis, "somebody", Wrong), "WRONGPASS, the user or the password is wrong", Wrong);
        await RedisDoor.AssertRefusedAsync(Login(redis, "nobody", Right), "WRONGPASS, the user or the password is wrong", Right);
        await RedisDoor.AssertRefusedAsync(Login(redis, null, Wrong), "the server has no password for the default user", Wrong);
        await RedisDoor.AssertServesAsync(Login(redis, "somebody", Right));

        await redis.CommandAsync("CONFIG", "SET", "requirepass", Right);
        redis.Password = Right;
        await RedisDoor.AssertRefusedAsync(Login(redis, null, null), "NOAUTH, the server asks for a password, and none is configured");
        await RedisDoor.AssertRefusedAsync(Login(redis, null, Wrong), "WRONGPASS, the password is wrong", Wrong, Right);
        await RedisDoor.AssertServesAsync(Login(redis, null, Right));
    }

    [RedisFact(ownServer: true)]
    public async Task APasswordFile_ThatChanges_CountsAtTheNextConnect()
    {
        using var files = new TestAuthority();
        var file = files.Write("password", Right + "\n");
        await using var redis = await RedisServer.StartOwnAsync();
        await redis.CommandAsync("ACL", "SETUSER", "gateway", "on", ">" + Right, "~*", "&*", "+@all");
        var settings = new RedisStoreSettings { Configuration = redis.Configuration, Login = new RedisLogin { User = "gateway", PasswordFile = file } };
        await using var store = await RedisStores.OpenAsync(settings);

        await redis.CommandAsync("ACL", "SETUSER", "gateway", "resetpass", ">next-S3cr3t");
        files.Write("password", "next-S3cr3t");
        await redis.CommandAsync("CLIENT", "KILL", "USER", "gateway");

        await Eventually.TrueAsync(() => RedisStores.AnswersAsync(store), "logged in with the new password");
        File.Delete(file);
        await redis.CommandAsync("CLIENT", "KILL", "USER", "gateway");
        await Eventually.TrueAsync(() => RedisStores.AnswersAsync(store), "logged in with the last password");
    }

    [RedisFact(ownServer: true)]
    public async Task ADeniedCommand_IsNamed()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        foreach (var (denied, named) in new[]
        {
            ("-evalsha", "NOPERM, the user may not run or use: EVALSHA"),
            ("-script|load", "NOPERM, the user may not run or use: SCRIPT LOAD"),
            ("-hset", "NOPERM, the user may not run or use: HSET"),
            ("-publish", "NOPERM, the user may not run or use: PUBLISH"),
            ("-ping", "NOPERM, the user may not run PING"),
        })
        {
            await redis.CommandAsync("ACL", "SETUSER", "gateway", "reset", "on", ">" + Right, "~*", "&*", "+@all", denied);
            await RedisDoor.AssertRefusedAsync(Login(redis, "gateway", Right), named, Right);
        }

        await redis.CommandAsync("ACL", "SETUSER", "gateway", "reset", "on", ">" + Right, "~*", "&*", "+@all", "-info");
        await RedisDoor.AssertRefusedAsync(Login(redis, "gateway", Right), "NOPERM, the user may not run or use: INFO", Right);

        await redis.CommandAsync("ACL", "SETUSER", "gateway", "reset", "on", ">" + Right, "~other:*", "&*", "+@all");
        await RedisDoor.AssertRefusedAsync(Login(redis, "gateway", Right), "NOPERM, the user may not run or use: keys of the prefix", Right);
    }

    [RedisFact(ownServer: true)]
    public async Task ARightThatIsOnlyMissed_IsAWarning()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await redis.CommandAsync("ACL", "SETUSER", "gateway", "on", ">" + Right, "~*", "&*", "+@all", "-role", "-@pubsub", "+publish");
        var log = new FakeLogger<RedisStore>();
        await using var store = await RedisStores.OpenAsync(Login(redis, "gateway", Right), log);

        Assert.Contains(log.Collector.GetSnapshot(), line => line.Id == 2004 && $"{line.Message} {line.Exception}".Contains("may not run or use: ROLE, SUBSCRIBE", StringComparison.Ordinal));
    }

    [Fact]
    public async Task NobodyThere_AndNoSuchName()
    {
        await RedisDoor.AssertRefusedAsync(At($"127.0.0.1:{LoopbackPorts.Reserve()}"), "connection refused");
        await RedisDoor.AssertRefusedAsync(At("no-such-host.invalid:6379"), "the name does not resolve");
        await RedisDoor.AssertRefusedAsync(
            At($"127.0.0.1:{LoopbackPorts.Reserve()},no-such-host.invalid:6379"), "connection refused; the server no-such-host.invalid:6379: the name does not resolve");
    }

    [Fact]
    public async Task SilentAndOtherServers()
    {
        var port = LoopbackPorts.Reserve();
        using var silent = LoopbackPorts.Listen(port);
        await RedisDoor.AssertRefusedAsync(At($"127.0.0.1:{port}"), "no answer within 1 s");

        await using var web = await ScriptedBackend.StartAsync();
        await RedisDoor.AssertRefusedAsync(At(new Uri(web.Url).Authority), "this is not a Redis server");
    }

    [RedisFact(ownServer: true)]
    public async Task AServerThatIsGoneLater_IsNamedToo()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        var log = new FakeLogger<RedisStore>();
        await using var store = await RedisStores.OpenAsync(At(redis.Configuration), log);

        await redis.StopAsync();

        await Eventually.TrueAsync(() => log.Collector.GetSnapshot().Any(line => line.Id == 2000 && $"{line.Message} {line.Exception}".Contains("connection refused", StringComparison.Ordinal)), "named", TimeSpan.FromSeconds(3));
    }

    [RedisFact(ownServer: true)]
    public async Task IPv6Only()
    {
        if (!Socket.OSSupportsIPv6)
        {
            return;
        }

        await using var redis = await RedisServer.StartOwnAsync("--bind", "127.0.0.1", "::1");
        var port = redis.Configuration.Split(':')[1];
        await redis.CommandAsync("CONFIG", "SET", "bind", "::1");

        await RedisDoor.AssertServesAsync(At($"[::1]:{port}"));
        await RedisDoor.AssertRefusedAsync(At($"127.0.0.1:{port}"), "connection refused");
    }

    private static RedisStoreSettings At(string configuration) => new() { Configuration = configuration };

    private static RedisStoreSettings Login(RedisServer redis, string? user, string? password) => new()
    {
        Configuration = redis.Configuration,
        Login = new RedisLogin { User = user, Password = password is null ? null : new SecretText(password) },
    };
}
