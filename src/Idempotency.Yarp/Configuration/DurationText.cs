using System.Globalization;

namespace Idempotency.Yarp.Configuration;

/// <summary>Durations as people write them: <c>1.00:00:00</c> and <c>00:00:30</c>, or numbers with units, <c>24h</c>, <c>1h30m</c>, <c>500ms</c>.</summary>
internal static class DurationText
{
    private static readonly (string Unit, TimeSpan Span)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("s", TimeSpan.FromSeconds(1)), ("m", TimeSpan.FromMinutes(1)), ("h", TimeSpan.FromHours(1)), ("d", TimeSpan.FromDays(1)),
    ];

    public static bool TryParse(string text, out TimeSpan duration)
    {
        // A bare number would be taken for days; whoever writes 30 means seconds. The free format would take 24:00:00 for 24 days.
        return text.Contains(':', StringComparison.Ordinal)
            ? TimeSpan.TryParseExact(text, "c", CultureInfo.InvariantCulture, out duration)
            : TryParseUnits(text, out duration);
    }

    /// <summary>How to write what was probably meant; null when nothing can be guessed.</summary>
    public static string? Suggest(string text)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var seconds) && seconds > 0)
        {
            return $"{seconds}s ({TimeSpan.FromSeconds(seconds):c}) or another unit";
        }

        var parts = text.Split(':');
        return parts.Length == 3 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var hours) && hours is >= 24 and < 100_000
            && TimeSpan.TryParseExact($"0:{parts[1]}:{parts[2]}", "c", CultureInfo.InvariantCulture, out var rest)
            ? $"{TimeSpan.FromHours(hours) + rest:c}"
            : null;
    }

    private static bool TryParseUnits(string text, out TimeSpan duration)
    {
        duration = default;
        var rest = text.AsSpan();
        while (!rest.IsEmpty)
        {
            var digits = rest.IndexOfAnyExceptInRange('0', '9');
            if (digits <= 0 || !int.TryParse(rest[..digits], NumberStyles.None, CultureInfo.InvariantCulture, out var number))
            {
                return false;
            }

            rest = rest[digits..];
            var end = rest.IndexOfAnyInRange('0', '9');
            var written = (end < 0 ? rest : rest[..end]).ToString();
            var known = Array.FindIndex(Units, unit => unit.Unit.Equals(written, StringComparison.OrdinalIgnoreCase));
            if (known < 0)
            {
                return false;
            }

            duration += number * Units[known].Span;
            rest = end < 0 ? default : rest[end..];
        }

        return text.Length > 0;
    }
}
