using System.Net.Sockets;
using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>Servers in processes of their own come, go, hang and come back.</summary>
public sealed class ProcessTests
{
    [Fact]
    public async Task GatewayProcess_ThatDoesNotStart_FailsWithAllItsOutput()
    {
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => GatewayProcess.StartAsync("this is not JSON"));

        Assert.NotEmpty(failure.Message.Split("Its output:\n")[1].Trim());
    }

    [RedisFact(ownServer: true)]
    public async Task Redis_IsTakenAway_AndComesBackEmptyOnTheSamePort()
    {
        await using var redis = await RedisServer.StartOwnAsync();
        await redis.CommandAsync("SET", "a", "1");
        Assert.Equal("1", await redis.CommandAsync("GET", "a"));

        await redis.StopAsync();
        await Assert.ThrowsAsync<SocketException>(() => redis.CommandAsync("PING"));
        await redis.StartAsync();

        Assert.Equal("(nil)", await redis.CommandAsync("GET", "a"));
        Assert.Equal("maxmemory-policy\nnoeviction", await redis.CommandAsync("CONFIG", "GET", "maxmemory-policy"));
    }

    [RedisFact(ownServer: true)]
    public async Task Redis_Paused_ExecutesWhatItWasSent_WhenResumed()
    {
        await using var redis = await RedisServer.StartOwnAsync();

        await redis.PauseAsync();
        var silent = redis.CommandAsync("INCR", "n");
        await redis.ResumeAsync();

        Assert.Equal("1", await silent);
    }

    [RedisFact(ownServer: true)]
    public async Task Cluster_Forms_AndSendsAKeyToItsOwnMaster()
    {
        await using var cluster = new RedisCluster();
        await cluster.StartAsync();

        var replies = await Task.WhenAll(cluster.Nodes.Select(async node =>
        {
            try
            {
                return await node.CommandAsync("SET", "{b0421}:x", "1");
            }
            catch (InvalidOperationException moved)
            {
                return moved.Message.Split(' ')[0];
            }
        }));

        Assert.Equal(["MOVED", "MOVED", "OK"], replies.Order(StringComparer.Ordinal));
        Assert.Equal(3, cluster.Configuration.Split(',').Length);
    }

    [RedisFact(ownServer: true)]
    public async Task Cluster_WithReplicas_PutsOneInThePlaceOfALostMaster()
    {
        await using var cluster = RedisCluster.WithReplicas();
        await cluster.StartAsync();
        var replica = await cluster.ReplicaOfAsync(cluster.Nodes[0]);

        await cluster.Nodes[0].StopAsync();

        await Eventually.TrueAsync(
            async () => (await replica.CommandAsync("INFO", "replication")).Contains("role:master", StringComparison.Ordinal), "promoted");
    }
}
