using System.Diagnostics;
using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>
/// POSIX signals to child processes; .NET itself sends only SIGKILL. The shell's own <c>kill</c> is used because a slim
/// Debian image has no <c>kill</c> program.
/// </summary>
internal static class Signals
{
    /// <param name="processId">A child that this test run started.</param>
    /// <param name="signal">Without SIG: TERM, STOP, CONT.</param>
    public static async Task SendAsync(int processId, string signal)
    {
        var command = string.Create(CultureInfo.InvariantCulture, $"kill -{signal} {processId}");
        using var shell = Process.Start("/bin/sh", ["-c", command]);
        await shell.WaitForExitAsync();
        if (shell.ExitCode != 0)
        {
            throw new InvalidOperationException($"'{command}' ended with exit code {shell.ExitCode}.");
        }
    }
}
