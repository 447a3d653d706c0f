using System.Globalization;
using Testcontainers.Redis;
using Xunit;

namespace Gateway.Tests.Support;

/// <summary>
/// The Redis that tests use: a shared one, from where <see cref="RedisInstallation.Shared"/> says, or one of the test's own, a child process.
/// As a fixture it stays asleep where <see cref="RedisFactAttribute"/> skips its tests.
/// </summary>
public sealed class RedisServer : IAsyncLifetime, IAsyncDisposable
{
    private RedisProcess? _process;
    private RedisContainer? _container;

    public RedisServer()
    {
    }

    private RedisServer(RedisProcess process)
    {
        _process = process;
    }

    /// <summary><c>host:port</c>.</summary>
    public string Configuration => _process?.Endpoint ?? _container?.GetConnectionString() ?? RedisInstallation.ExternalServer!;

    /// <summary>What an own server keeps on disk, if its settings say so.</summary>
    public string Directory => Process.DataDirectory;

    /// <summary>For <see cref="CommandAsync"/>, once the test has set one.</summary>
    public string? Password { get; set; }

    private RedisProcess Process =>
        _process ?? throw new InvalidOperationException("A shared server is not ours to stop; use RedisServer.StartOwnAsync.");

    /// <summary>
    /// A server of the test's own, whatever REDIS_URL says, for tests that take the store away. Mark them
    /// <c>[RedisFact(ownServer: true)]</c>.
    /// </summary>
    /// <param name="settings">More of redis-server's command line, such as <c>"--maxmemory", "2mb"</c>.</param>
    public static Task<RedisServer> StartOwnAsync(params string[] settings)
    {
        var server = new RedisServer(new RedisProcess(settings));
        return Starting.OrDisposedAsync(server, server.StartAsync);
    }

    public Task StartAsync() => Process.StartAsync();

    /// <summary>SIGKILL. All data is gone; <see cref="StartAsync"/> brings an empty server back on the same port.</summary>
    public Task StopAsync() => Process.StopAsync();

    /// <summary>The store hangs: connects and writes succeed, and nothing is answered until <see cref="ResumeAsync"/>.</summary>
    public Task PauseAsync() => Process.PauseAsync();

    /// <summary>What was sent during the pause is executed now.</summary>
    public Task ResumeAsync() => Process.ResumeAsync();

    public Task FlushAllAsync() => CommandAsync("FLUSHALL");

    /// <summary>One command on a connection of its own; see <see cref="RespConnection.CallAsync"/> for the form of the reply.</summary>
    public async Task<string> CommandAsync(params string[] command)
    {
        var parts = Configuration.Split(':');
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        return await RespConnection.CallAsync(parts[0], int.Parse(parts[1], CultureInfo.InvariantCulture), Password, command, deadline.Token);
    }

    public ValueTask DisposeAsync() => _process?.DisposeAsync() ?? _container?.DisposeAsync() ?? ValueTask.CompletedTask;

    Task IAsyncLifetime.InitializeAsync() => RedisInstallation.IsUsable(ownServer: false) ? StartSharedAsync() : Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    private async Task StartSharedAsync()
    {
        switch (RedisInstallation.Shared)
        {
            case SharedServerSource.Named:
                break;
            case SharedServerSource.Container:
                _container = await ServerContainers.StartRedisAsync();
                break;
            default:
                _process = new RedisProcess();
                await _process.StartAsync();
                break;
        }
    }
}
