using System.Text.RegularExpressions;

namespace Gateway.Tests.Repository;

/// <summary>One log event of the gateway, and the range of ids that the summary of its class gives.</summary>
internal sealed record LogEvent(string File, int Id, string Level, int From, int To);

/// <summary>The log events, read from the source: the generator leaves nothing to ask at run time.</summary>
internal static partial class LogEvents
{
    public static IReadOnlyList<LogEvent> All { get; } = [.. RepositoryFiles.Find("src", "*.cs").Where(file => !file.StartsWith("src/DemoBackend/", StringComparison.Ordinal)).SelectMany(Read)];

    private static IEnumerable<LogEvent> Read(string file)
    {
        var source = RepositoryFiles.Read(file);
        var events = Event.Matches(source);
        if (events.Count != source.Split("[LoggerMessage").Length - 1)
        {
            throw new InvalidOperationException($"{file} has a log event that is not written as [LoggerMessage(ID, LogLevel.LEVEL, ...");
        }

        if (events.Count == 0)
        {
            return [];
        }

        var range = Range.Match(source);
        if (!range.Success)
        {
            throw new InvalidOperationException($"The summary of {file} does not say 'ids N to M'.");
        }

        var (from, to) = (Number(range.Groups[1]), Number(range.Groups[2]));
        return events.Select(match => new LogEvent(file, Number(match.Groups[1]), match.Groups[2].Value, from, to));
    }

    private static int Number(Group digits) => int.Parse(digits.Value, null);

    [GeneratedRegex(@"\[LoggerMessage\((\d+), LogLevel\.(\w+), ")]
    private static partial Regex Event { get; }

    [GeneratedRegex(@"ids (\d+) to (\d+)")]
    private static partial Regex Range { get; }
}
