using System.Globalization;

namespace Idempotency.Yarp.Configuration;

/// <summary>Converts one item of a list.</summary>
internal delegate bool Parser<T>(string text, out T value);

/// <summary>
/// Reads one section key by key, remembers which keys it was asked for, and reports every other key as unknown. What cannot be
/// converted is reported and replaced by the default, so that reading goes on and finds the next mistake.
/// </summary>
internal sealed class SettingsReader(IConfiguration section, string path, ConfigurationErrors errors)
{
    private readonly List<string> _known = [];

    public string Path => path;

    public ConfigurationErrors Errors => errors;

    public string PathOf(string key) => path.Length == 0 ? key : $"{path}:{key}";

    /// <summary>A nested section, read by its own reader; empty when it is not written.</summary>
    public SettingsReader Section(string key)
    {
        _known.Add(key);
        var child = section.GetSection(key);
        if (!string.IsNullOrEmpty(child.Value))
        {
            // A connection string, perhaps, that should have stood one level deeper.
            errors.Add(PathOf(key), null, "expected an object with settings, not a value");
        }

        return new SettingsReader(child, PathOf(key), errors);
    }

    /// <summary>Whether a section has anything in it.</summary>
    public bool IsWritten(string key) => section.GetSection(key).GetChildren().Any();

    /// <summary>The names of the children, for sections whose keys are chosen by the user.</summary>
    public IReadOnlyList<string> Names() => [.. section.GetChildren().Select(child => child.Key)];

    public string Text(string key, string fallback)
    {
        if (Value(key) is not { } value)
        {
            return fallback;
        }

        if (value.Length == 0)
        {
            errors.Add(PathOf(key), value, "a text that is not empty");
        }

        return value;
    }

    public string? OptionalText(string key) => Value(key) is { Length: > 0 } value ? value : null;

    public T Choice<T>(string key, T fallback)
        where T : struct, Enum
    {
        if (Value(key) is not { } value)
        {
            return fallback;
        }

        foreach (var name in Enum.GetNames<T>())
        {
            if (name.Equals(value, StringComparison.OrdinalIgnoreCase))
            {
                return Enum.Parse<T>(name);
            }
        }

        errors.Add(PathOf(key), value, Suggestion.Among(Enum.GetNames<T>(), value, " or "));
        return fallback;
    }

    /// <summary>A duration (<see cref="DurationText"/>).</summary>
    public TimeSpan Duration(string key, TimeSpan fallback, TimeSpan min, TimeSpan max)
    {
        if (Value(key) is not { } value)
        {
            return fallback;
        }

        var isDuration = DurationText.TryParse(value, out var duration);
        if (isDuration && duration >= min && duration <= max)
        {
            return duration;
        }

        var hint = isDuration ? null : DurationText.Suggest(value);
        errors.Add(PathOf(key), value, $"a duration such as {fallback:c} ([days.]hours:minutes:seconds) or 90s, 5m, 24h, 7d, from {min:c} to {max:c}{(hint is null ? "" : $"; write {hint}")}");
        return fallback;
    }

    /// <summary>True or false.</summary>
    public bool Flag(string key, bool fallback)
    {
        if (Value(key) is not { } value)
        {
            return fallback;
        }

        if (!bool.TryParse(value, out var flag))
        {
            errors.Add(PathOf(key), value, "true or false");
        }

        return flag;
    }

    public long Number(string key, long fallback, long min, long max, string unit)
    {
        if (Value(key) is not { } value)
        {
            return fallback;
        }

        if (long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= min && number <= max)
        {
            return number;
        }

        errors.Add(PathOf(key), value, $"a whole number of {unit} from {min} to {max}");
        return fallback;
    }

    /// <summary>A list; written, it replaces the default as a whole. A single value stands for a list of one.</summary>
    public IReadOnlyList<T> List<T>(string key, IReadOnlyList<T> fallback, Parser<T> parse, string expected)
    {
        _known.Add(key);
        var child = section.GetSection(key);
        var items = child.GetChildren().Select(item => (item.Path, item.Value)).ToList();
        if (items.Count > 0 && !string.IsNullOrEmpty(child.Value))
        {
            errors.Add(PathOf(key), child.Value, "either a list or a single value; an environment variable overrides an item as KEY__0");
        }

        if (items.Count == 0)
        {
            if (child.Value is null)
            {
                return fallback;
            }

            // An empty array reads as an empty string.
            items = child.Value.Length == 0 ? [] : [(PathOf(key), child.Value)];
        }

        var list = new List<T>(items.Count);
        foreach (var (itemPath, value) in items)
        {
            if (value is not null && parse(value, out var parsed))
            {
                list.Add(parsed);
            }
            else
            {
                errors.Add(itemPath, value, value is null ? $"expected {expected}" : expected);
            }
        }

        return list;
    }

    /// <summary>Reports every key that nobody asked for.</summary>
    public void RejectUnknown()
    {
        foreach (var child in section.GetChildren())
        {
            if (!_known.Contains(child.Key, StringComparer.OrdinalIgnoreCase))
            {
                errors.Add(PathOf(child.Key), null, $"unknown setting; known here: {Suggestion.Among(_known, child.Key)}");
            }
        }
    }

    private string? Value(string key)
    {
        _known.Add(key);
        var child = section.GetSection(key);
        if (child.GetChildren().Any())
        {
            errors.Add(PathOf(key), null, "expected a single value, not an object or a list");
            return null;
        }

        return child.Value;
    }
}
