using System.Globalization;
using System.Runtime.InteropServices;

namespace Gateway.Tests.Faults;

/// <summary>A process that is starved rather than stopped: timers and I/O are served late, as on a throttled container.</summary>
internal static class Stall
{
    /// <summary>For how long, as a time span.</summary>
    public const string Variable = "GATEWAY_STALL";

    private static PosixSignalRegistration? _onSignal;

    /// <summary>SIGWINCH begins it.</summary>
    public static void OnSignal()
    {
        if (!OperatingSystem.IsWindows())
        {
            _onSignal ??= PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => Begin());
        }
    }

    /// <summary>
    /// Keeps every thread of the pool busy. It may not add any: each would serve a timer first, and leases be renewed.
    /// </summary>
    private static void Begin()
    {
        var duration = TimeSpan.Parse(Environment.GetEnvironmentVariable(Variable)!, CultureInfo.InvariantCulture);
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
}
