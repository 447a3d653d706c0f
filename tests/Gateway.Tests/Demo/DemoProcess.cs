using System.Diagnostics;
using System.Globalization;
using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>A demo backend as a child process, to be killed and started again at the same address with the same database.</summary>
internal sealed class DemoProcess(DemoDatabase database, params string[] options) : IAsyncDisposable
{
    readonly string[] _options = options;
    Process? _process;

    /// <summary><c>host:port</c>.</summary>
    public string Endpoint { get; } = string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{LoopbackPorts.Reserve()}");

    /// <summary>Returns when it listens.</summary>
    public async Task StartAsync()
    {
        var program = Path.Combine(AppContext.BaseDirectory, "DemoBackend.dll");
        var output = new Ledger<string>();
        _process = ChildProcesses.Start(new("dotnet", [program, "--urls", $"http://{Endpoint}", .. database.Arguments, .. _options])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        });
        _process.OutputDataReceived += (_, line) => output.Add(line.Data ?? "");
        _process.ErrorDataReceived += (_, line) => output.Add(line.Data ?? "");
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        await output.WaitForAsync(line => line.StartsWith("DemoBackend listening on ", StringComparison.Ordinal));
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

    public async ValueTask DisposeAsync() => await KillAsync();
}
