using System.Collections.Concurrent;
using System.Diagnostics;

namespace Gateway.Tests.Support;

/// <summary>
/// Starts the servers that tests use, and sees to it that none outlives the test run, even where a failed test never came
/// to dispose what it started.
/// </summary>
internal static class ChildProcesses
{
    private static readonly ConcurrentDictionary<Process, bool> Running = new();

    static ChildProcesses()
    {
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var process in Running.Keys)
            {
                process.Kill();
            }
        };
    }

    public static Process Start(ProcessStartInfo info)
    {
        var process = Process.Start(info)!;
        Running[process] = true;
        return process;
    }

    /// <summary>SIGKILL; returns when the process is gone. One that has ended by itself is only cleared away.</summary>
    public static async Task KillAsync(Process process)
    {
        process.Kill();
        await process.WaitForExitAsync();
        Running.Remove(process, out _);
        process.Dispose();
    }
}
