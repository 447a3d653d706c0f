using System.Text.RegularExpressions;

namespace Gateway.Tests.Repository;

/// <summary>
/// Who may use whom inside src/Gateway, checked on the text: using lines and qualified names, because the compiler sees one assembly.
/// An area is a folder, or one of the projects of stores, whose own order the compiler keeps; the files beside Program.cs may use everything.
/// </summary>
internal static partial class DependencyRules
{
    /// <summary>Each area, and the other areas that it may use. An area below another one may always use that one.</summary>
    private static readonly Dictionary<string, string[]> Uses = new()
    {
        ["Admin"] = ["Configuration", "Storage", "Policies", "Telemetry"],
        ["Configuration"] = ["Policies", "Storage", "Storage.Postgres", "Storage.Redis"], // the last two to validate their connection strings
        ["Idempotency"] = ["Configuration", "Policies", "Storage", "Forwarding", "Telemetry"],
        ["Forwarding"] = [],
        ["Policies"] = [],
        ["Storage"] = [],
        ["Storage.Sqlite"] = [],
        ["Storage.Postgres"] = [],
        ["Storage.Redis"] = [],
        ["Telemetry"] = [],
    };

    /// <summary>Other names, and the only areas that may use them; "" stands for the files beside Program.cs.</summary>
    private static readonly (Regex Name, string[] Areas)[] Outside =
    [
        (Root, [""]),
        (Http, ["", "Admin", "Forwarding", "Idempotency"]),
        (Yarp, ["", "Configuration", "Forwarding", "Idempotency"]),
        (RedisClient, []),
        (Sqlite, []),
        (PostgresClient, []),
        (OpenTelemetry, ["Telemetry"]),
    ];

    /// <param name="path">Relative to src/Gateway, with forward slashes.</param>
    /// <param name="source">The text of the file.</param>
    public static IEnumerable<string> Violations(string path, string source)
    {
        var area = path.Contains('/', StringComparison.Ordinal) ? path[..path.LastIndexOf('/')].Replace('/', '.') : "";
        if (area.Length > 0 && !Uses.ContainsKey(area))
        {
            return [$"{path}: {area} is a new area; say in DependencyRules what it may use"];
        }

        var code = NotCode.Replace(source, " ").Replace("Idempotency.Storage", "Gateway.Storage", StringComparison.Ordinal);
        var expected = area.Length == 0 ? "Gateway" : $"Gateway.{area}";
        var found = Namespace.Match(code) is { Success: true } match ? match.Groups[1].Value : expected;
        var misplaced = found == expected ? (string[])[] : [$"{path}: the namespace is {found}, the folder says {expected}"];
        var ours = UsedAreas(code, area).Where(used => !MayUse(area, used));
        var others = Outside.Where(rule => !rule.Areas.Contains(area)).SelectMany(rule => rule.Name.Matches(code)).Select(name => name.Value);
        return [.. misplaced, .. ours.Concat(others).Distinct().Select(used => $"{path}: {area} must not use {used}")];
    }

    private static bool MayUse(string area, string used) =>
        area.Length == 0 || used == area || area.StartsWith($"{used}.", StringComparison.Ordinal) || Uses[area].Contains(used);

    /// <summary>The area of each name in the code that leads into one, in any spelling that namespace Gateway.AREA allows.</summary>
    private static IEnumerable<string> UsedAreas(string code, string area) =>
        from name in QualifiedName.Matches(code).Select(match => match.Value)
        let full = name.StartsWith("Gateway.", StringComparison.Ordinal) ? name["Gateway.".Length..] : name
        let used = AreaOf(full) ?? AreaOf($"{area}.{full}") // a child's name is short inside its parent
        where used is not null && (full != used || full != name)
        select used;

    /// <summary>The longest area that a name lies in: Storage.Redis.RedisStore is of Storage.Redis, not of Storage.</summary>
    private static string? AreaOf(string name) =>
        Uses.Keys.Where(area => name == area || name.StartsWith($"{area}.", StringComparison.Ordinal)).MaxBy(area => area.Length);

    /// <summary>The types beside Program.cs.</summary>
    [GeneratedRegex(@"(?<![\w.])(CommandLine|Banner|GatewayApplication|ServiceRegistration)\b")]
    private static partial Regex Root { get; }

    [GeneratedRegex(@"(?<!\.)\b(HttpContext|HttpRequest|HttpResponse|IHeaderDictionary|RequestDelegate|Microsoft\.AspNetCore\.Http)\b")]
    private static partial Regex Http { get; }

    [GeneratedRegex(@"(?<![\w.])Yarp\.")]
    private static partial Regex Yarp { get; }

    [GeneratedRegex(@"(?<![\w.])StackExchange\.")]
    private static partial Regex RedisClient { get; }

    [GeneratedRegex(@"(?<![\w.])Npgsql(Types)?\b")]
    private static partial Regex PostgresClient { get; }

    [GeneratedRegex(@"(?<![\w.])OpenTelemetry\b")]
    private static partial Regex OpenTelemetry { get; }

    [GeneratedRegex(@"(?<![\w.])(Microsoft\.Data\.Sqlite|SQLitePCL)\b")]
    private static partial Regex Sqlite { get; }

    [GeneratedRegex(@"^namespace ([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace { get; }

    [GeneratedRegex(@"(?<![\w.])[A-Z]\w*(?:\.[A-Z]\w*)+")]
    private static partial Regex QualifiedName { get; }

    /// <summary>Comments and strings.</summary>
    [GeneratedRegex(""""
        //[^\n]*|/\*.*?\*/|""".*?"""|"(?:[^"\\\n]|\\.)*"
        """", RegexOptions.Singleline)]
    private static partial Regex NotCode { get; }
}
