using System.Globalization;
using System.Text.Json;

namespace Idempotency.Yarp.Policies;

/// <summary>A place in a JSON document (RFC 6901), as a list of unescaped tokens; empty for the whole document.</summary>
internal static class JsonPointer
{
    /// <returns>The tokens, or null when the text is not a pointer.</returns>
    public static IReadOnlyList<string>? Parse(string text)
    {
        if (text.Length == 0)
        {
            return [];
        }

        if (text[0] != '/' || text.Split('~').Skip(1).Any(escaped => escaped is not ['0' or '1', ..]))
        {
            return null;
        }

        return [.. text[1..].Split('/').Select(token => token.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal))];
    }

    /// <summary>The value at the place; false when there is none.</summary>
    public static bool TryFind(JsonElement root, IReadOnlyList<string> tokens, out JsonElement found)
    {
        found = root;
        foreach (var token in tokens)
        {
            var exists = found.ValueKind switch
            {
                JsonValueKind.Object => found.TryGetProperty(token, out found),
                JsonValueKind.Array => TryGetItem(found, token, out found),
                _ => false,
            };
            if (!exists)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Array indices are written without leading zeros (RFC 6901, section 4).</summary>
    public static bool TryParseIndex(string token, out int index) =>
        int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out index) && (token.Length == 1 || token[0] != '0');

    private static bool TryGetItem(JsonElement array, string token, out JsonElement item)
    {
        var exists = TryParseIndex(token, out var index) && index < array.GetArrayLength();
        item = exists ? array[index] : default;
        return exists;
    }
}
