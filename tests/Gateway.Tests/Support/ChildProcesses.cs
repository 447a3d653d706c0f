using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>
/// Starts the servers that tests use, and sees to it that none outlives the test run, even where a failed test never came
/// to dispose what it started.
/// </summary>
internal static class ChildProcesses
{
    private static readonly ConcurrentDictionary<Process, bool> Running = new();

    /// <summary>Shells that read from us, and so until our end.</summary>
    private static readonly ConcurrentBag<Process> Waiting = [];

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

    /// <summary>
    /// Without .NET's diagnostics, whose socket and pipe stay in the temporary folder when a process is killed. What is called thirty times
    /// is compiled a second time by default: two thirds of what a gateway of a few seconds and a few requests costs the processor.
    /// </summary>
    public static Process Start(ProcessStartInfo info)
    {
        info.Environment["DOTNET_EnableDiagnostics"] = "0";
        info.Environment["DOTNET_TC_CallCountThreshold"] = "2000"; // hexadecimal: 8,192 calls, so that code under load is still compiled again
        var process = Process.Start(info)!;
        Running[process] = true;
        return process;
    }

    /// <summary>
    /// Has a shell run a command as soon as this process has ended, in whatever way: the runner kills it when its own last words take longer
    /// than a moment.
    /// </summary>
    public static void AtTheEnd(string command) =>
        Waiting.Add(Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"read -r _; {command}"]) { RedirectStandardInput = true })!);

    /// <summary>The process ids of the children of a process, dead ones that it has not cleared away yet included.</summary>
    public static IReadOnlyList<int> ChildrenOf(int processId) => [.. ReadChildrenOf(processId).Select(child => child.Id)];

    /// <summary>False when all children of a process are dead.</summary>
    public static bool HasLivingChildren(int processId) => ReadChildrenOf(processId).Any(child => child.State != "Z");

    /// <summary>SIGKILL; returns when the process is gone. One that has ended by itself is only cleared away.</summary>
    public static async Task KillAsync(Process process)
    {
        process.Kill();
        await process.WaitForExitAsync();
        Running.Remove(process, out _);
        process.Dispose();
    }
    // A line of /proc/ID/stat: id (name) state parent ...; the name may have spaces and parentheses.
    private static IEnumerable<(int Id, string State)> ReadChildrenOf(int parent) =>
        from directory in Directory.EnumerateDirectories("/proc")
        let name = Path.GetFileName(directory)
        where int.TryParse(name, out _)
        let fields = ReadOrEmpty(Path.Combine(directory, "stat")).Split(") ")[^1].Split(' ')
        where fields.Length > 1 && fields[1] == parent.ToString(CultureInfo.InvariantCulture)
        select (int.Parse(name, CultureInfo.InvariantCulture), fields[0]);

    private static string ReadOrEmpty(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (IOException)
        {
            return ""; // the process ended at this moment
        }
    }
}
