using System.Text.RegularExpressions;

namespace Gateway.Tests.Chaos;

/// <summary>What the gateways themselves logged as errors, counted by event id.</summary>
internal sealed partial class GatewayErrors
{
    /// <summary>
    /// Events that say that a record was lost or met another owner, or that a reply was another's (StoreLog). A store that keeps what
    /// it acknowledged gives no cause for them.
    /// </summary>
    private static readonly string[] AlarmIds = ["2006", "2007", "2010", "2011", "2015"];

    private readonly SortedDictionary<string, int> _counts = [];
    private readonly List<string> _alarms = [];
    private readonly List<string> _unforeseen = [];

    public IReadOnlyList<string> Alarms => _alarms;

    /// <summary>Errors that are none of the gateway's own events, to be looked into: a process that is being ended may have some.</summary>
    public IReadOnlyList<string> Unforeseen => _unforeseen;

    [GeneratedRegex(@"\b(?:fail|crit): [\w.]+\[(\d+)\]|^(Unhandled exception)")]
    private static partial Regex ErrorLine { get; }

    public static GatewayErrors In(IReadOnlyList<string> lines)
    {
        var errors = new GatewayErrors();
        foreach (var line in lines)
        {
            if (ErrorLine.Match(line) is { Success: true } match)
            {
                var id = match.Groups[1].Success ? match.Groups[1].Value : "unhandled";
                errors._counts[id] = errors._counts.GetValueOrDefault(id) + 1;
                if (IsUnforeseen(id))
                {
                    errors._unforeseen.Add(line);
                }

                if (id == "unhandled" || AlarmIds.Contains(id))
                {
                    errors._alarms.Add(line);
                }
            }
        }

        return errors;
    }

    /// <summary>Not one of the gateway's own events: the framework met an exception, and the client an answer that is nobody's.</summary>
    private static bool IsUnforeseen(string id) => id.Length < 4 || id == "unhandled";

    /// <summary>Such as <c>2003: 4, 2013: 1</c>.</summary>
    public override string ToString() => _counts.Count == 0 ? "none" : string.Join(", ", _counts.Select(count => $"{count.Key}: {count.Value}"));
}
