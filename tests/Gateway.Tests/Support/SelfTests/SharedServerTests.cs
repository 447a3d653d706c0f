using Npgsql;
using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>
/// What the shared servers of this run say of where they are. <c>./test.sh --containers</c> sets TEST_SERVERS=containers, so that a run which
/// fell back on an installed program is red.
/// </summary>
[Collection(RedisCollection.Name)]
public sealed class SharedServerTests(RedisServer redis, PostgresServer postgres) : IClassFixture<PostgresServer>
{
    /// <summary>The first process of a container has this id in there, and no server outside has it.</summary>
    private const string FirstProcess = "1";

    [RedisFact]
    public async Task Redis_IsWhereTheRunSays()
    {
        var facts = (await redis.CommandAsync("INFO", "server")).Split('\n', StringSplitOptions.TrimEntries);
        var processId = facts.Single(line => line.StartsWith("process_id:", StringComparison.Ordinal)).Split(':')[1];

        AssertSource(RedisInstallation.Shared, redis.Configuration == RedisInstallation.ExternalServer ? null : processId);
    }

    [PostgresFact]
    public async Task Postgres_IsWhereTheRunSays()
    {
        var named = new NpgsqlConnectionStringBuilder(PostgresInstallation.ExternalServer);
        var isNamed = postgres.Endpoint == $"{named.Host}:{named.Port}";

        AssertSource(PostgresInstallation.Shared, isNamed ? null : await ReadProcessIdAsync());
    }

    // Only a superuser may read it, which the user of POSTGRES_URL need not be.
    private async Task<string> ReadProcessIdAsync() =>
        (string)(await postgres.QueryAsync(@"SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)"))!;

    /// <param name="processId">Null when it is the server of REDIS_URL or POSTGRES_URL.</param>
    private static void AssertSource(SharedServerSource expected, string? processId)
    {
        var source = processId switch
        {
            null => SharedServerSource.Named,
            FirstProcess => SharedServerSource.Container,
            _ => SharedServerSource.Installed,
        };
        Assert.Equal(expected, source);
        Assert.True(
            source is SharedServerSource.Container || SharedServers.Demand != "containers",
            $"TEST_SERVERS demands containers, and the server is {source}, process {processId}.");
    }
}
