using Gateway.Configuration;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Configuration;

namespace Gateway.Tests.Repository;

/// <summary>
/// Every setting that the code reads, asked of the code itself: an unknown key in a section is answered with the keys that are known
/// there. Sections whose keys are not the gateway's own are left out, and NAME stands for the name of a policy.
/// </summary>
internal static class KnownSettings
{
    private const string Unknown = "unknown-key";

    private static readonly string[] NotOurs = ["ReverseProxy", "Logging", "Kestrel", "$schema"];

    /// <summary>Settings that may be written.</summary>
    public static IReadOnlyList<string> Supported { get; } = [.. KnownAtRoot().Except(NotOurs).SelectMany(LeavesBelow)];

    /// <summary>What a choice may be set to: the code's answer to a value that is none of them.</summary>
    public static IReadOnlyList<string> ChoicesOf(string path)
    {
        var prefix = $"{path} = \"{Unknown}\": expected ";
        return ErrorsOf(path, Unknown).Single(error => error.StartsWith(prefix, StringComparison.Ordinal))[prefix.Length..].Split(" or ");
    }

    /// <summary>All errors of a configuration that consists of one setting.</summary>
    public static IReadOnlyList<string> ErrorsOf(string path, string value)
    {
        var errors = new ConfigurationErrors();
        // A lock is of something, whatever else is written of it.
        KeyValuePair<string, string?>[] beside = path.Contains(":Lock:", StringComparison.Ordinal) ? [new(path[..path.IndexOf(":Lock:", StringComparison.Ordinal)] + ":Lock:On", "query:x")] : [];
        SettingsLoader.Convert(new ConfigurationBuilder().AddInMemoryCollection([.. beside, new(path, value)]).Build(), errors);
        return errors.Errors;
    }

    private static IEnumerable<string> LeavesBelow(string path)
    {
        if (path == "Idempotency:Policies")
        {
            path += ":NAME";
        }

        var names = NamesIn(ErrorsOf($"{path}:{Unknown}", "x"), $"{path}:{Unknown}");
        return names is null ? [path] : names.SelectMany(name => LeavesBelow($"{path}:{name}"));
    }

    private static string[] KnownAtRoot()
    {
        using var file = new TemporaryFile($$"""{ "{{Unknown}}": "x" }""");
        var errors = new ConfigurationErrors();
        SettingsLoader.Load(file.Path, errors);
        return NamesIn(errors.Errors, Unknown)!;
    }

    private static string[]? NamesIn(IReadOnlyList<string> errors, string path)
    {
        var prefix = $"{path}: unknown setting; known here: ";
        return errors.FirstOrDefault(error => error.StartsWith(prefix, StringComparison.Ordinal))?[prefix.Length..].Split(", ");
    }
}
