using System.Net;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>What an operator sees of a Redis that does not let the gateway in, from the real process.</summary>
public sealed class RedisReadinessTests : StoreFaults
{
    [RedisFact(ownServer: true)]
    public async Task AWrongPassword_StandsInReadinessAndLog_UntilItIsRight()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await redis.CommandAsync("ACL", "SETUSER", "gateway", "on", ">right-S3cr3t", "~*", "&*", "+@all");
        await using var gateway = await StartGatewayAsync(
            new { Kind = "Redis", Redis = new { redis.Configuration, User = "gateway" } },
            new Dictionary<string, string> { ["Store__Redis__Password"] = "wrong-S3cr3t" });

        using var ready = await Client.GetAsync(new Uri(gateway.AdminUrl + "/readyz"));
        var said = await ready.Content.ReadAsStringAsync();

        Assert.Equal(HttpStatusCode.ServiceUnavailable, ready.StatusCode);
        Assert.Contains("WRONGPASS, the user or the password is wrong", said, StringComparison.Ordinal);
        AssertLogged("[2000]", gateway);
        Assert.Contains(gateway.Output, line => line.Contains("WRONGPASS", StringComparison.Ordinal));
        Assert.DoesNotContain(gateway.Output.Append(said), line => line.Contains("S3cr3t", StringComparison.Ordinal));
        await AssertRefusedInTimeAsync(gateway, Key);

        await redis.CommandAsync("ACL", "SETUSER", "gateway", ">wrong-S3cr3t");

        await AssertRecoversAsync(gateway, Key);
    }
}
