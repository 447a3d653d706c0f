using DotNet.Testcontainers.Configurations;
using DotNet.Testcontainers.Containers;
using Testcontainers.PostgreSql;
using Testcontainers.Redis;

namespace Gateway.Tests.Support;

/// <summary>
/// Servers in containers, with the settings that <see cref="RedisProcess"/> and <see cref="PostgresProcess"/> give theirs. The images are
/// those of REDIS_IMAGE and POSTGRES_IMAGE, else the usual public ones.
/// </summary>
internal static class ServerContainers
{
    /// <summary>The image may have to be pulled first.</summary>
    private static readonly TimeSpan StartsWithin = TimeSpan.FromMinutes(3);

    public static Task<RedisContainer> StartRedisAsync() => StartAsync(
        new RedisBuilder(Image("REDIS_IMAGE", "redis:7"))
            .WithCommand("--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction")
            .Build());

    public static Task<PostgreSqlContainer> StartPostgresAsync() => StartAsync(
        new PostgreSqlBuilder(Image("POSTGRES_IMAGE", "postgres:17"))
            .WithCommand("-c", "full_page_writes=on", "-c", "synchronous_commit=on", "-c", "max_connections=200")
            .Build());

    private static string Image(string variable, string usual) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } image ? image : usual;

    private static Task<T> StartAsync<T>(T container)
        where T : IContainer => Starting.OrDisposedAsync(container, async () =>
        {
            using var deadline = new CancellationTokenSource(StartsWithin);
            await container.StartAsync(deadline.Token);
            if (!TestcontainersSettings.ResourceReaperEnabled)
            {
                // Nobody else ends it when a run is cut short.
                ChildProcesses.AtTheEnd($"docker rm --force --volumes {container.Id} >/dev/null 2>&1");
            }
        });
}
