#if TEST_HOOKS
using System.Diagnostics;
#endif

namespace Gateway;

/// <summary>
/// Places where the fault suite kills the process, and defects that it switches on to see that it notices them. They exist in the test
/// build only (-p:TestHooks=true); in the product every call is compiled away.
/// </summary>
internal static class TestHooks
{
#if TEST_HOOKS
    private static readonly string? CrashAt = Environment.GetEnvironmentVariable("GATEWAY_CRASH_AT");
    private static readonly HashSet<string> Defects = [.. (Environment.GetEnvironmentVariable("GATEWAY_DEFECTS") ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries)];

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
#else
    [System.Diagnostics.Conditional("TEST_HOOKS")]
    public static void CrashPoint(string point)
    {
    }

    public static bool HasDefect(string defect) => false;
#endif
}
