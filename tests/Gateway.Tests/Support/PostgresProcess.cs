using System.Diagnostics;
using System.Globalization;
using Npgsql;

namespace Gateway.Tests.Support;

/// <summary>
/// One PostgreSQL server on a loopback port of its own: a postmaster and the children that it makes, a process for each connection among
/// them. It can be killed and started again with its data, and paused and resumed. Whoever connects is let in as superuser.
/// </summary>
public sealed class PostgresProcess : IAsyncDisposable
{
    private static readonly Lazy<Task<string>> Template = new(CreateTemplateAsync);

    private readonly string[] _settings;
    private readonly PostgresProcess? _primary;
    private DirectoryInfo? _directory;
    private Process? _postmaster;
    private bool _isPaused;

    /// <param name="settings">As in postgresql.conf, such as <c>"max_connections=5"</c>; they win over those that every test server has.</param>
    public PostgresProcess(params string[] settings)
    {
        _settings = settings;
    }

    private PostgresProcess(PostgresProcess primary, string[] settings)
        : this(settings)
    {
        _primary = primary;
    }

    public int Port { get; } = LoopbackPorts.Reserve();

    public string Endpoint => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{Port}");

    /// <summary>To the database <c>postgres</c>, which is empty at first.</summary>
    public string ConnectionString => string.Create(CultureInfo.InvariantCulture, $"Host=127.0.0.1;Port={Port};Username=postgres;Database=postgres");

    /// <summary>More of the server's environment, from the next start on.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; set; } = new Dictionary<string, string>();

    public int Pid => _postmaster!.Id;

    /// <summary>The server's log.</summary>
    public Ledger<string> Output { get; } = new();

    /// <summary>What it keeps on disk; deleted with it.</summary>
    public string DataDirectory => Path.Combine(_directory!.FullName, "data");

    /// <summary>A primary that acknowledges nothing before its standby has it.</summary>
    public static PostgresProcess WithSynchronousStandby() => new("synchronous_standby_names=*");

    /// <summary>A hot standby that streams from <paramref name="primary"/>, which must be up when this one is first started.</summary>
    public static PostgresProcess StandbyOf(PostgresProcess primary, params string[] settings) => new(primary, settings);

    /// <summary>Returns when the server answers a query.</summary>
    /// <exception cref="InvalidOperationException">It did not; the message ends with the server's log.</exception>
    public async Task StartAsync()
    {
        if (_directory is null)
        {
            _directory = await PostgresInstallation.NewDirectoryAsync();
            await CreateDataAsync();
        }

        // No disk is waited for: it is the processes that are killed, not the machine.
        string[] settings =
        [
            "listen_addresses=127.0.0.1", string.Create(CultureInfo.InvariantCulture, $"port={Port}"), "unix_socket_directories=",
            "fsync=off", "max_connections=200", .. _settings,
        ];
        var info = PostgresInstallation.Program("postgres", ["-D", DataDirectory, .. settings.SelectMany(setting => (string[])["-c", setting])]);
        info.RedirectStandardError = true;
        foreach (var (name, value) in Environment)
        {
            info.Environment[name] = value;
        }

        _postmaster = ChildProcesses.Start(info);
        _postmaster.ErrorDataReceived += (_, line) => Output.Add(line.Data ?? "");
        _postmaster.BeginErrorReadLine();
        var started = Stopwatch.StartNew();
        while (!await AnswersAsync())
        {
            if (_postmaster.HasExited || started.Elapsed > Bounds.Wait)
            {
                await StopAsync();
                throw new InvalidOperationException($"The PostgreSQL server on {Endpoint} did not start. Its log:\n{string.Join('\n', Output)}");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }

    /// <summary>
    /// SIGKILL to all its processes, as when the machine dies; returns when they are gone, so that connects are refused from then on. What
    /// was committed is there after the next start.
    /// </summary>
    public async Task StopAsync()
    {
        if (_postmaster is not { } postmaster)
        {
            return;
        }

        _postmaster = null;
        _isPaused = false;
        if (!postmaster.HasExited)
        {
            // A stopped postmaster makes no more children, and keeps the dead ones' process ids from being given to others.
            await Signals.SendAsync(postmaster.Id, "STOP");
            await Signals.SendAsync(ChildProcesses.ChildrenOf(postmaster.Id), "KILL");
            await Eventually.TrueAsync(() => !ChildProcesses.HasLivingChildren(postmaster.Id), "all processes of the server are dead");
        }

        await ChildProcesses.KillAsync(postmaster);
    }

    /// <summary>SIGSTOP: connects and writes still succeed, and nothing is ever answered.</summary>
    public async Task PauseAsync()
    {
        _isPaused = true;
        await Signals.SendAsync(_postmaster!.Id, "STOP");
        await Signals.SendAsync(ChildProcesses.ChildrenOf(_postmaster.Id), "STOP");
    }

    /// <summary>SIGCONT: what was sent in the meantime is now executed.</summary>
    public async Task ResumeAsync()
    {
        _isPaused = false;
        await Signals.SendAsync(ChildProcesses.ChildrenOf(_postmaster!.Id), "CONT");
        await Signals.SendAsync(_postmaster.Id, "CONT");
    }

    /// <summary>A standby becomes a primary; returns when it accepts writes.</summary>
    public Task PromoteAsync() => QueryAsync("SELECT pg_promote()");

    /// <summary>The same, by way of a <see cref="TcpProxy"/>.</summary>
    /// <param name="endpoint"><c>host:port</c>.</param>
    public string ConnectionStringVia(string endpoint) => PostgresQuery.Via(ConnectionString, endpoint);

    /// <summary>As <see cref="PostgresQuery.RunAsync"/>.</summary>
    public Task<object?> QueryAsync(string sql) => PostgresQuery.RunAsync(ConnectionString, sql);

    public async ValueTask DisposeAsync()
    {
        if (_postmaster is { HasExited: false } postmaster)
        {
            // Ended like this, it clears away its children and its shared memory.
            await (_isPaused ? ResumeAsync() : Task.CompletedTask);
            await Signals.SendAsync(postmaster.Id, "QUIT");
            await postmaster.WaitForExitAsync().WaitAsync(Bounds.Wait);
        }

        await StopAsync();
        _directory?.Delete(recursive: true);
    }

    // To make a cluster takes more than a second, to copy one does not.
    private static async Task<string> CreateTemplateAsync()
    {
        var data = Path.Combine((await PostgresInstallation.NewDirectoryAsync()).FullName, "data");
        await PostgresInstallation.RunAsync(PostgresInstallation.Program(
            "initdb", "-D", data, "--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1"));
        return data;
    }

    private async Task CreateDataAsync()
    {
        if (_primary is null)
        {
            await PostgresInstallation.RunAsync(PostgresInstallation.AsServerUser(new("cp", ["-R", await Template.Value, DataDirectory])));
        }
        else
        {
            var primary = string.Create(CultureInfo.InvariantCulture, $"host=127.0.0.1 port={_primary.Port} user=postgres");
            await PostgresInstallation.RunAsync(PostgresInstallation.Program(
                "pg_basebackup", "-D", DataDirectory, "--no-sync", "--write-recovery-conf", "--checkpoint=fast", "--dbname", primary));
        }
    }

    private async Task<bool> AnswersAsync()
    {
        try
        {
            return await QueryAsync("SELECT 1") is 1;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }
}
