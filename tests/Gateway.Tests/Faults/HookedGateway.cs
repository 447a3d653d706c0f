using System.Diagnostics;
using System.Text.RegularExpressions;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>A gateway as a child process that ends itself at a point (the test build), or has a defect or stalls (the product, with a startup hook).</summary>
internal sealed partial class HookedGateway : IAsyncDisposable
{
    /// <summary>What the shell reports of a process that SIGKILL ended: 128 and the signal's number.</summary>
    public const int Killed = 137;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-hooked-");
    private Process? _process;

    private HookedGateway()
    {
    }

    /// <summary>Where it listens, without a trailing slash.</summary>
    public string Url { get; private set; } = "";

    public int Pid => _process!.Id;

    /// <summary>Everything that it wrote so far.</summary>
    public Ledger<string> Output { get; } = new();

    /// <param name="config">The content of the configuration file; paths in it must be absolute.</param>
    /// <param name="crashAt">The point where it kills itself, such as <c>P3</c>; null for none.</param>
    /// <param name="defect">The defect that it has; null for none.</param>
    /// <param name="stall">How long its thread pool is busy after SIGWINCH.</param>
    public static async Task<HookedGateway> StartAsync(string config, string? crashAt = null, string? defect = null, TimeSpan stall = default)
    {
        if (crashAt is not null && (defect is not null || stall != default))
        {
            throw new ArgumentException("The build with crash points has no startup hook.", nameof(crashAt));
        }

        var dll = crashAt is null ? GatewayProcess.Product : await TestBuild.GatewayAsync();
        var gateway = new HookedGateway();
        return await Starting.OrDisposedAsync(gateway, () => gateway.StartAsync(dll, config, crashAt, defect, stall));
    }

    /// <summary>The exit code, as soon as it has ended by itself.</summary>
    public async Task<int> WaitForExitAsync()
    {
        await _process!.WaitForExitAsync().WaitAsync(Bounds.Wait);
        return _process.ExitCode;
    }

    /// <summary>SIGKILL; returns when the process is gone.</summary>
    public async Task KillAsync()
    {
        if (_process is { } process)
        {
            _process = null;
            await ChildProcesses.KillAsync(process);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        _directory.Delete(recursive: true);
    }

    [GeneratedRegex(@"\bListening on (http://127\.0\.0\.1:\d+)")]
    private static partial Regex AddressLine { get; }

    private async Task StartAsync(string dll, string config, string? crashAt, string? defect, TimeSpan stall)
    {
        var file = Path.Combine(_directory.FullName, "routes.json");
        await File.WriteAllTextAsync(file, config);
        var info = new ProcessStartInfo("dotnet", [dll, "run", "--config", file, "--urls", "http://127.0.0.1:0"])
        {
            WorkingDirectory = _directory.FullName,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        info.Environment["Admin__Urls"] = "http://127.0.0.1:0";
        info.Environment["GATEWAY_CRASH_AT"] = crashAt;
        if (crashAt is null)
        {
            info.Environment[StartupHook.Variable] = StartupHook.Path;
            info.Environment[Defects.Variable] = defect;
            info.Environment[Stall.Variable] = stall.ToString("c");
        }

        var process = _process = ChildProcesses.Start(info);
        process.OutputDataReceived += (_, line) => Output.Add(line.Data ?? "(end)");
        process.ErrorDataReceived += (_, line) => Output.Add(line.Data ?? "(end)");
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        Url = AddressLine.Match(await Output.WaitForAsync(AddressLine.IsMatch)).Groups[1].Value;
    }
}
