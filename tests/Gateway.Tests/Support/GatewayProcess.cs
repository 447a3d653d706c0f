using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Gateway.Tests.Support;

/// <summary>
/// The real gateway as a child process, for what an in-process host cannot show: crashes at any moment, signals, exit codes,
/// several instances on one store, and a start from nothing but a file and the environment.
/// </summary>
public sealed partial class GatewayProcess : IAsyncDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-process-");
    private readonly IReadOnlyDictionary<string, string> _environment;
    private readonly string _program;
    private Process? _process;

    private GatewayProcess(IReadOnlyDictionary<string, string>? environment, string program)
    {
        (_environment, _program) = (environment ?? new Dictionary<string, string>(), program);
    }

    /// <summary>Where it listens, without a trailing slash. Another port after <see cref="StartAgainAsync"/>.</summary>
    public string Url { get; private set; } = "";

    /// <summary>Where health, metrics and the admin API are, without a trailing slash; empty when the gateway names no such address.</summary>
    public string AdminUrl { get; private set; } = "";

    public int Pid => _process!.Id;

    /// <summary>All lines of stdout and stderr so far, of every start; wait here for a log line.</summary>
    public Ledger<string> Output { get; } = new();

    /// <summary>The process's working directory, deleted with it: relative paths of the configuration lead here.</summary>
    public string WorkingDirectory => _directory.FullName;

    /// <summary>The path of Gateway.dll.</summary>
    public static string Product { get; } = Path.Combine(AppContext.BaseDirectory, "Gateway.dll");

    private string ConfigFile => Path.Combine(_directory.FullName, "routes.json");

    /// <param name="config">The content of the configuration file.</param>
    /// <param name="environment">Overrides, such as <c>Store__Kind</c>. <c>Admin__Urls</c> is a free port unless given.</param>
    /// <param name="program">Another build's Gateway.dll; null for the product.</param>
    /// <exception cref="InvalidOperationException">It did not come to listen; the message has all output.</exception>
    public static async Task<GatewayProcess> StartAsync(
        string config, IReadOnlyDictionary<string, string>? environment = null, string? program = null)
    {
        var gateway = new GatewayProcess(environment, program ?? Product);
        await File.WriteAllTextAsync(gateway.ConfigFile, config);
        return await Starting.OrDisposedAsync(gateway, gateway.StartAgainAsync);
    }

    /// <summary>Runs the gateway's command line to its end, as for <c>check</c>.</summary>
    public static async Task<(int ExitCode, string StandardOutput, string StandardError)> RunToEndAsync(params string[] arguments)
    {
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        var process = ChildProcesses.Start(StartInfo(Product, arguments, AppContext.BaseDirectory));
        var (output, errors) = (process.StandardOutput.ReadToEndAsync(deadline.Token), process.StandardError.ReadToEndAsync(deadline.Token));
        try
        {
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, await output, await errors);
        }
        finally
        {
            await ChildProcesses.KillAsync(process);
        }
    }

    /// <summary>After <see cref="KillAsync"/> or <see cref="TerminateAsync"/>: the same configuration, environment and directory.</summary>
    public async Task StartAgainAsync()
    {
        var info = StartInfo(_program, ["run", "--config", ConfigFile, "--urls", "http://127.0.0.1:0"], WorkingDirectory);
        info.Environment["Admin__Urls"] = "http://127.0.0.1:0";
        foreach (var (name, value) in _environment)
        {
            info.Environment[name] = value;
        }

        var listening = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process = ChildProcesses.Start(info);
        _process.OutputDataReceived += (_, line) => Read(line.Data, listening);
        _process.ErrorDataReceived += (_, line) => Read(line.Data, listening);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await Task.WhenAny(listening.Task, _process.WaitForExitAsync(), Task.Delay(Bounds.Wait));
        Url = listening.Task.IsCompleted
            ? await listening.Task
            : throw new InvalidOperationException($"The gateway did not come to listen. Its output:\n{string.Join('\n', Output)}");
    }

    /// <summary>SIGKILL, as by the kernel's out-of-memory killer; returns when the process is gone.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            _process = null;
            await ChildProcesses.KillAsync(process);
        }
    }

    /// <summary>SIGTERM, as by an orchestrator; returns the exit code.</summary>
    public async Task<int> TerminateAsync()
    {
        var process = _process!;
        await Signals.SendAsync(process.Id, "TERM");
        await process.WaitForExitAsync().WaitAsync(Bounds.Wait);
        var exitCode = process.ExitCode;
        await KillAsync();
        return exitCode;
    }

    /// <summary>SIGSTOP, as a long pause of a virtual machine: its leases run out while it does not know.</summary>
    public Task PauseAsync() => Signals.SendAsync(Pid, "STOP");

    /// <summary>SIGCONT.</summary>
    public Task ResumeAsync() => Signals.SendAsync(Pid, "CONT");

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _directory.Delete(recursive: true);
    }

    [GeneratedRegex(@"\b(Health|Listening) on (http://127\.0\.0\.1:\d+)")]
    private static partial Regex AddressLine { get; }

    private static ProcessStartInfo StartInfo(string program, string[] arguments, string directory) =>
        new("dotnet", [program, .. arguments])
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

    private void Read(string? line, TaskCompletionSource<string> listening)
    {
        if (line is null)
        {
            return;
        }

        Output.Add(line);
        switch (AddressLine.Match(line).Groups)
        {
            case [_, { Value: "Health" }, var address]:
                AdminUrl = address.Value;
                break;
            case [_, { Value: "Listening" }, var address]:
                listening.TrySetResult(address.Value);
                break;
        }
    }
}
