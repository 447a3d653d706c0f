using System.Net.Sockets;
using Gateway.Tests.EndToEnd;
using Npgsql;
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

    /// <summary>A killed .NET process cannot take its diagnostic socket and pipe away; after some runs there were a thousand.</summary>
    [Fact]
    public async Task AKilledGateway_LeavesNothingInTheTemporaryFolder()
    {
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(GatewayConfig.Embedded, new { }, []));
        var pid = gateway.Pid;

        await gateway.KillAsync();

        Assert.Empty(Directory.EnumerateFileSystemEntries(Path.GetTempPath(), $"*-{pid}-*"));
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

    [PostgresFact(ownServer: true)]
    public async Task Postgres_IsTakenAway_AndComesBackOnTheSamePortWithItsData()
    {
        await using var postgres = await PostgresServer.StartOwnAsync();
        await postgres.QueryAsync("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");

        await postgres.StopAsync();
        var refused = await Assert.ThrowsAsync<NpgsqlException>(() => postgres.QueryAsync("SELECT 1"));
        Assert.IsType<SocketException>(refused.InnerException);
        await postgres.StartAsync();

        Assert.Equal(1, await postgres.QueryAsync("SELECT n FROM t"));
        Assert.Equal("off", await postgres.QueryAsync("SHOW fsync"));
    }

    [PostgresFact(ownServer: true)]
    public async Task Postgres_Paused_ExecutesWhatItWasSent_WhenResumed()
    {
        await using var postgres = await PostgresServer.StartOwnAsync("fsync=on");
        await using var open = new NpgsqlConnection(postgres.ConnectionString);
        await open.OpenAsync();
        await using var command = new NpgsqlCommand("SHOW fsync", open);

        await postgres.PauseAsync();
        var silent = command.ExecuteScalarAsync();
        var unaccepted = postgres.QueryAsync("SELECT 1");
        await Task.WhenAny(silent, unaccepted, Task.Delay(TimeSpan.FromMilliseconds(100)));
        Assert.False(silent.IsCompleted || unaccepted.IsCompleted);
        await postgres.ResumeAsync();

        Assert.Equal("on", await silent);
        Assert.Equal(1, await unaccepted);
    }

    [PostgresFact]
    public async Task Postgres_GivesEachItsOwnDatabase_AndEndsOnlyTheConnectionsOfThat()
    {
        await using var one = await PostgresServer.NewDatabaseAsync();
        await using var other = await PostgresServer.NewDatabaseAsync();
        await using var ofOne = new NpgsqlConnection(one.ConnectionString);
        await using var ofOther = new NpgsqlConnection(other.ConnectionString);
        await ofOne.OpenAsync();
        await ofOther.OpenAsync();
        await one.QueryAsync("CREATE TABLE t (n int)");

        Assert.Equal(1, await one.TerminateConnectionsAsync());

        await using var onOne = new NpgsqlCommand("SELECT 1", ofOne);
        await Assert.ThrowsAsync<PostgresException>(() => onOne.ExecuteScalarAsync());
        await using var onOther = new NpgsqlCommand("SELECT to_regclass('t')::text", ofOther);
        Assert.Equal(DBNull.Value, await onOther.ExecuteScalarAsync());
    }

    [PostgresFact(ownServer: true)]
    public async Task Postgres_Standby_HasWhatThePrimaryAcknowledged_WhenItTakesOver()
    {
        await using var primary = PostgresProcess.WithSynchronousStandby();
        await primary.StartAsync();
        await using var standby = PostgresProcess.StandbyOf(primary);
        await standby.StartAsync();
        await primary.QueryAsync("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");

        await primary.StopAsync();
        await standby.PromoteAsync();

        Assert.Equal(1L, await standby.QueryAsync("WITH i AS (INSERT INTO t VALUES (2)) SELECT count(*) FROM t"));
    }
}
