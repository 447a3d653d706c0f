#if TEST_HOOKS
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
#endif

namespace Idempotency;

/// <summary>
/// Places where the fault suite kills the process, a way to stall it, and defects that it switches on to see that it notices them. They
/// exist in the test build only (-p:TestHooks=true); in the product every call is compiled away.
/// </summary>
internal static class TestHooks
{
#if TEST_HOOKS
    private static readonly string? CrashAt = Environment.GetEnvironmentVariable("GATEWAY_CRASH_AT");
    private static readonly HashSet<string> Defects = [.. (Environment.GetEnvironmentVariable("GATEWAY_DEFECTS") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries)];
    private static readonly PosixSignalRegistration StallOnSignal = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Stall());

    /// <summary>Ends the process as SIGKILL does when this is the point that GATEWAY_CRASH_AT names.</summary>
    public static void CrashPoint(string point)
    {
        if (point == CrashAt)
        {
            Process.GetCurrentProcess().Kill();
            new ManualResetEventSlim().Wait();
        }
    }

    /// <summary>Whether GATEWAY_DEFECTS names this defect.</summary>
    public static bool HasDefect(string defect) => Defects.Contains(defect);

    /// <summary>
    /// Keeps every thread of the pool busy for GATEWAY_STALL. It may not add any: each would serve a timer first, and leases be renewed.
    /// </summary>
    private static void Stall()
    {
        var duration = TimeSpan.Parse(Environment.GetEnvironmentVariable("GATEWAY_STALL")!, CultureInfo.InvariantCulture);
        var over = new ManualResetEventSlim();
        ThreadPool.GetMaxThreads(out var maxThreads, out var maxPorts);
        var threads = Math.Max(ThreadPool.ThreadCount, Environment.ProcessorCount);
        ThreadPool.SetMaxThreads(threads, maxPorts);
        for (var i = 0; i < 2 * threads; i++)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static blocked => blocked.Wait(), over, preferLocal: false);
        }

        Console.WriteLine("Stalled.");
        new Thread(() =>
        {
            new ManualResetEventSlim().Wait(duration);
            Console.WriteLine("Stall over.");
            ThreadPool.SetMaxThreads(maxThreads, maxPorts);
            over.Set();
        }).Start();
    }
#else
    [System.Diagnostics.Conditional("TEST_HOOKS")]
    public static void CrashPoint(string point)
    {
    }

    public static bool HasDefect(string defect) => false;
#endif
}
