#if TEST_HOOKS
using System.Diagnostics;
#endif

namespace Idempotency;

/// <summary>Places where the fault suite kills the process. They exist in the test build only (-p:TestHooks=true); in the product every call is compiled away.</summary>
internal static class TestHooks
{
#if TEST_HOOKS
    private static readonly string? CrashAt = Environment.GetEnvironmentVariable("GATEWAY_CRASH_AT");

    /// <summary>Ends the process as SIGKILL does when this is the point that GATEWAY_CRASH_AT names.</summary>
    public static void CrashPoint(string point)
    {
        if (point == CrashAt)
        {
            Process.GetCurrentProcess().Kill();
            new ManualResetEventSlim().Wait();
        }
    }
#else
    [System.Diagnostics.Conditional("TEST_HOOKS")]
    public static void CrashPoint(string point)
    {
    }
#endif
}
