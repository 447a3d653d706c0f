using Idempotency.Storage.Redis;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What a server's INFO lets the gateway say of it.</summary>
public sealed class RedisPreflightTests
{
    private const string Good = "run_id:a\r\nmaster_replid:b\r\nredis_version:7.0.15\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:0\r\n";

    [Theory]
    [InlineData("number_of_cached_scripts:10000", null)]
    [InlineData("number_of_cached_scripts:10001", "SCRIPT FLUSH")]
    [InlineData("maxmemory_policy:allkeys-lru", "set noeviction")]
    [InlineData("aof_enabled:0", "appendonly is off")]
    [InlineData("redis_version:4.0.14", "5.0 or later is needed")]
    [InlineData("connected_slaves:1", "min-replicas-to-write")]
    public void WhatIsNotAsItShouldBe_IsNamed(string line, string? expected)
    {
        var findings = RedisPreflight.Judge(RedisServerFacts.Parse($"{Good}{line}\r\n"));

        Assert.Equal(expected is null ? 0 : 1, findings.Count);
        Assert.All(findings, finding => Assert.Contains(expected!, finding, StringComparison.Ordinal));
    }

    /// <summary>A run is named by both: the one changes with a start, the other with a promotion.</summary>
    [Theory]
    [InlineData("run_id:c")]
    [InlineData("master_replid:c")]
    public void AnotherRun_IsAnotherIdentity(string line) =>
        Assert.NotEqual(RedisServerFacts.Parse(Good).Identity, RedisServerFacts.Parse($"{Good}{line}\r\n").Identity);

    [Fact]
    public void AServerThatTellsNeither_IsNotIdentified() => Assert.False(RedisServerFacts.Parse("redis_version:7.0.15\r\n").IsIdentified);
}
