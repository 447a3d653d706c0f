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
    public static Task SendAsync(int processId, string signal) => SendAsync([processId], signal);

    /// <summary>To several at once; none of them may have been cleared away.</summary>
    public static async Task SendAsync(IReadOnlyList<int> processIds, string signal)
    {
        var command = string.Create(CultureInfo.InvariantCulture, $"kill -{signal} {string.Join(' ', processIds)}");
        using var shell = Process.Start("/bin/sh", ["-c", command]);
        await shell.WaitForExitAsync();
        if (shell.ExitCode != 0)
        {
            throw new InvalidOperationException($"'{command}' ended with exit code {shell.ExitCode}.");
        }
    }
}
