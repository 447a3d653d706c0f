using System.Globalization;
using System.Security.Cryptography;

namespace Gateway.Tests.Chaos;

/// <summary>One run. <c>chaos.sh</c> asks for it by environment variables; the suite's own runs are short.</summary>
/// <param name="Store">redis, cluster, postgres or embedded.</param>
/// <param name="Seed">Makes all choices.</param>
/// <param name="Duration">How long clients and nemesis are at it; healing and checking come on top.</param>
/// <param name="Gateways">How many processes; the embedded store serves one only.</param>
/// <param name="Defects">Deliberate defects (see <c>Faults/Defects.cs</c>), separated by commas; null for the product.</param>
/// <param name="LogFile">Where progress is written for someone to follow; null for nobody.</param>
/// <param name="AnswersApart">Large answers are kept apart, in a server that is faulted too and loses what it has.</param>
/// <param name="Program">Another build's Gateway.dll, from release 0.1.0 on; null for the product. Settings that 0.1.0 does not know are left out.</param>
internal sealed record ChaosSettings(
    string Store, ulong Seed, TimeSpan Duration, int Gateways, string? Defects = null, string? LogFile = null, bool AnswersApart = false, string? Program = null)
{
    /// <summary>The line that repeats this run.</summary>
    public string CommandLine => string.Create(
        CultureInfo.InvariantCulture,
        $"./chaos.sh --store {Store} --seed {Seed} --minutes {Duration.TotalMinutes:0.###} --gateways {Gateways}{(Defects is null ? "" : $" --defects {Defects}")}{(AnswersApart ? " --answers apart" : "")}{(Program is null ? "" : $" --program {Program}")}");

    /// <param name="store">Unless CHAOS_STORE names another.</param>
    /// <param name="seed">Unless CHAOS_SEED names another; null for a fresh one.</param>
    /// <param name="seconds">Unless CHAOS_MINUTES (fractions allowed) says otherwise.</param>
    /// <param name="answersApart">Unless CHAOS_ANSWERS is <c>apart</c>, which says so too.</param>
    /// <remarks>CHAOS_GATEWAY, the path of a Gateway.dll, is the program.</remarks>
    public static ChaosSettings FromEnvironment(string store, ulong? seed, int seconds, bool answersApart = false)
    {
        var where = Text("CHAOS_STORE") ?? store;
        return new(
            where,
            Text("CHAOS_SEED") is { } text ? ulong.Parse(text, CultureInfo.InvariantCulture) : seed ?? (uint)RandomNumberGenerator.GetInt32(int.MaxValue),
            Text("CHAOS_MINUTES") is { } minutes ? TimeSpan.FromMinutes(double.Parse(minutes, CultureInfo.InvariantCulture)) : TimeSpan.FromSeconds(seconds),
            where == "embedded" ? 1 : int.Parse(Text("CHAOS_GATEWAYS") ?? "2", CultureInfo.InvariantCulture),
            Text("CHAOS_DEFECTS"),
            Text("CHAOS_LOG"),
            answersApart || Text("CHAOS_ANSWERS") == "apart",
            Text("CHAOS_GATEWAY"));
    }

    /// <summary>Whether <c>chaos.sh</c>, or somebody by hand, asks for one run in place of the suite's.</summary>
    public static bool IsOneAskedFor => Text("CHAOS_STORE") is not null || Text("CHAOS_SEED") is not null || Text("CHAOS_MINUTES") is not null;

    private static string? Text(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? text : null;
}
