using System.Globalization;

namespace Gateway.Tests.Chaos;

/// <summary>What <c>chaos.sh</c> asks for by environment variables; the test suite's own run is short and always the same.</summary>
/// <param name="Duration">How long clients and nemesis are at it; healing and checking come on top.</param>
/// <param name="LogFile">Where progress is written for someone to follow; null for nobody.</param>
internal sealed record ChaosSettings(TimeSpan Duration, ulong Seed, int Gateways, string? LogFile)
{
    /// <summary>CHAOS_MINUTES (fractions allowed), CHAOS_SEED, CHAOS_GATEWAYS, CHAOS_LOG.</summary>
    public static ChaosSettings FromEnvironment() => new(
        Number("CHAOS_MINUTES") is { } minutes ? TimeSpan.FromMinutes(minutes) : TimeSpan.FromSeconds(20),
        Environment.GetEnvironmentVariable("CHAOS_SEED") is { Length: > 0 } seed ? ulong.Parse(seed, CultureInfo.InvariantCulture) : 1,
        (int)(Number("CHAOS_GATEWAYS") ?? 2),
        Environment.GetEnvironmentVariable("CHAOS_LOG") is { Length: > 0 } file ? file : null);

    private static double? Number(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? double.Parse(text, CultureInfo.InvariantCulture) : null;
}
