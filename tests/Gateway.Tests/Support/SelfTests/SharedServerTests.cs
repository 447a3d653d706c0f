using Npgsql;
using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>
/// Where shared servers come from: the rule, and what the servers of this run say of themselves. <c>./test.sh --containers</c> sets
/// TEST_SERVERS=containers, so that a run which fell back on an installed program is red.
/// </summary>
[Collection(RedisCollection.Name)]
public sealed class SharedServerTests(RedisServer redis, PostgresServer postgres) : IClassFixture<PostgresServer>
{
    /// <summary>The first process of a container has this id in there, and no server outside has it.</summary>
    private const string FirstProcess = "1";

    [Theory]
    [InlineData(true, null, true, true, SharedServerSource.Named)]
    [InlineData(true, "containers", true, true, SharedServerSource.Named)]
    [InlineData(true, "installed", true, true, SharedServerSource.Named)]
    [InlineData(false, null, true, true, SharedServerSource.Container)]
    [InlineData(false, null, true, false, SharedServerSource.Container)]
    [InlineData(false, null, false, true, SharedServerSource.Installed)]
    [InlineData(false, null, false, false, SharedServerSource.None)]
    [InlineData(false, "containers", true, true, SharedServerSource.Container)]
    [InlineData(false, "containers", false, true, SharedServerSource.Container)]
    [InlineData(false, "installed", true, true, SharedServerSource.Installed)]
    [InlineData(false, "installed", true, false, SharedServerSource.None)]
    internal void Source_IsTheNamedServer_ElseAContainer_ElseTheProgramInstalled(
        bool isNamed, string? demand, bool engineAnswers, bool isInstalled, SharedServerSource expected) =>
        Assert.Equal(expected, SharedServers.Choose(isNamed, demand, () => engineAnswers, isInstalled));

    [Fact]
    public void Source_ThatIsNotKnown_IsRefused()
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => SharedServers.Choose(isNamed: false, "container", () => true, isInstalled: true));

        Assert.Equal("TEST_SERVERS is 'container'; it may be 'containers' or 'installed'.", refusal.Message);
    }

    [Fact]
    public void Source_ThatIsNamedOrInstalled_NeedsNoEngine()
    {
        Assert.Equal(SharedServerSource.Named, SharedServers.Choose(isNamed: true, demand: null, Unasked, isInstalled: false));
        Assert.Equal(SharedServerSource.Installed, SharedServers.Choose(isNamed: false, "installed", Unasked, isInstalled: true));

        static bool Unasked() => throw new InvalidOperationException("The engine was asked.");
    }

    [Theory]
    [InlineData(true, false, null)]
    [InlineData(true, true, null)]
    [InlineData(false, false, "missing")]
    [InlineData(false, true, null)]
    public void Tests_WithoutAServer_AreSkipped_ButInContinuousIntegrationTheyRunAndFail(bool canServe, bool isContinuousIntegration, string? skipped) =>
        Assert.Equal(skipped, SharedServers.SkipReason(canServe, isContinuousIntegration, "missing"));

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
