using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>
/// The wall clock of a child process, moved by the test while the process runs (libfaketime). Its monotonic clock stays true, as when
/// an operator or a time service sets the clock of a machine.
/// </summary>
internal sealed class FakeClock : IDisposable
{
    private const string Missing = "libfaketime is missing: install Debian's faketime (./test.sh does).";

    // Others may read it, unlike those of Path.GetTempFileName: PostgreSQL may run as another user.
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"gateway-clock-{Guid.NewGuid():N}");

    public FakeClock()
    {
        Jump(TimeSpan.Zero);
        Environment = new Dictionary<string, string>
        {
            // The C library in front of other allocators, such as Redis's: theirs ask for the time before the fake one is ready.
            ["LD_PRELOAD"] = $"{Library ?? throw new InvalidOperationException(Missing)} libc.so.6",
            ["FAKETIME_TIMESTAMP_FILE"] = _file,
            // How often the file is looked at, in seconds. Without it, every look at the clock opens the file, and a gateway hardly gets to work.
            ["FAKETIME_CACHE_DURATION"] = "1",
            // Else waits with a time limit are changed, and end at once or late: a client with many of them is hardly connected.
            ["FAKETIME_FORCE_MONOTONIC_FIX"] = "0",
            ["FAKETIME_DONT_FAKE_MONOTONIC"] = "1",
            ["DONT_FAKE_MONOTONIC"] = "1",
        };
    }

    /// <summary>For the process whose clock it is.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; }

    private static string? Library { get; } = Directory.Exists("/usr/lib")
        ? Directory.EnumerateDirectories("/usr/lib").Select(directory => Path.Combine(directory, "faketime", "libfaketimeMT.so.1")).FirstOrDefault(File.Exists)
        : null;

    /// <summary>Null when the test runs.</summary>
    public static string? SkipReason => Library is null && !RedisInstallation.IsContinuousIntegration ? Missing : null;

    /// <summary>From now on the clock differs from the true one by this much.</summary>
    public void Jump(TimeSpan by) => File.WriteAllText(_file, by.TotalSeconds.ToString("+0;-0;+0", CultureInfo.InvariantCulture));

    public void Dispose() => File.Delete(_file);
}
