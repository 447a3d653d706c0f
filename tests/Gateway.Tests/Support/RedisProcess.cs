using System.Diagnostics;
using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>
/// One redis-server child process on a loopback port of its own, nothing on disk but its log. It can be killed and started
/// again on the same port, empty (or with what it persisted, if the settings say so), and paused and resumed.
/// </summary>
public sealed class RedisProcess(params string[] settings) : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-redis-");
    private string[] _settings = settings;
    private Process? _process;

    public int Port { get; } = LoopbackPorts.Reserve();

    public string Endpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{Port}");

    /// <summary>What it keeps on disk, if the settings say so; deleted with it.</summary>
    public string DataDirectory => _directory.FullName;

    /// <summary>More of the process's environment, from the next start on.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; set; } = new Dictionary<string, string>();

    private string LogFile => Path.Combine(_directory.FullName, "redis.log");

    /// <summary>More of the command line, for the next start; what depends on <see cref="Port"/>.</summary>
    public void Configure(params string[] more) => _settings = [.. _settings, .. more];

    /// <summary>Returns when the server answers PING.</summary>
    /// <exception cref="InvalidOperationException">It did not; the message ends with the server's log.</exception>
    public async Task StartAsync()
    {
        string[] arguments =
        [
            "--port", Port.ToString(CultureInfo.InvariantCulture), "--bind", "127.0.0.1", "--dir", _directory.FullName,
            "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--logfile", LogFile, .. _settings,
        ];
        var info = new ProcessStartInfo(RedisInstallation.RequireServer(), arguments);
        foreach (var (name, value) in Environment)
        {
            info.Environment[name] = value;
        }

        _process = ChildProcesses.Start(info);
        var started = Stopwatch.StartNew();
        while (!await AnswersPingAsync())
        {
            if (_process.HasExited || started.Elapsed > Bounds.Wait)
            {
                await StopAsync();
                var log = File.Exists(LogFile) ? await File.ReadAllTextAsync(LogFile) : "(no log)";
                throw new InvalidOperationException($"redis-server on {Endpoint} did not start. Its log:\n{log}");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }
    }

    /// <summary>SIGKILL; returns when the process is gone, so that connects are refused from then on.</summary>
    public async Task StopAsync()
    {
        if (_process is { } process)
        {
            _process = null;
            await ChildProcesses.KillAsync(process);
        }
    }

    /// <summary>SIGSTOP: connects and writes still succeed, and nothing is ever answered.</summary>
    public Task PauseAsync() => Signals.SendAsync(_process!.Id, "STOP");

    /// <summary>SIGCONT: what was sent in the meantime is now executed.</summary>
    public Task ResumeAsync() => Signals.SendAsync(_process!.Id, "CONT");

    /// <summary>One command on a connection of its own; see <see cref="RespConnection.CallAsync"/> for the form of the reply.</summary>
    public async Task<string> CommandAsync(params string[] command)
    {
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        return await RespConnection.CallAsync("127.0.0.1", Port, password: null, command, deadline.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _directory.Delete(recursive: true);
    }

    private async Task<bool> AnswersPingAsync()
    {
        try
        {
            return await CommandAsync("PING") == "PONG";
        }
        catch (Exception notYet) when (notYet is IOException or System.Net.Sockets.SocketException or InvalidOperationException)
        {
            return false;
        }
    }
}
