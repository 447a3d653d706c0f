using System.Buffers;
using System.Globalization;
using System.Text.Json;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Hashes a JSON value so that what does not change its meaning does not change the hash: order of members, white space, escapes, and
/// the form of numbers. Members are ordered as in RFC 8785, section 3.2.3. Numbers are compared exactly instead of as IEEE doubles
/// (RFC 8785, section 3.2.2.3): two identifiers beyond 2^53 that a double cannot tell apart are two requests.
/// </summary>
internal static class CanonicalJson
{
    /// <param name="hash">Where to.</param>
    /// <param name="value">The value.</param>
    /// <param name="ignore">JSON pointers (RFC 6901) of places that are left out.</param>
    public static void AddTo(ref FieldHash hash, JsonElement value, IReadOnlyList<string> ignore) =>
        Add(ref hash, value, [.. ignore.Select(pointer => JsonPointer.Parse(pointer) ?? [])], depth: 0);

    /// <summary>One text for each number, whatever way it is written: digits without zeros at either end, and a power of ten.</summary>
    public static string Number(string raw)
    {
        var negative = raw[0] == '-';
        var exponentAt = raw.AsSpan().IndexOfAny('e', 'E');
        var mantissa = (exponentAt < 0 ? raw.AsSpan() : raw.AsSpan(0, exponentAt)).TrimStart('-').ToString();
        var point = mantissa.IndexOf('.', StringComparison.Ordinal);
        var fraction = point < 0 ? 0 : mantissa.Length - point - 1;
        var digits = mantissa.Replace(".", "", StringComparison.Ordinal).TrimStart('0');
        if (digits.Length == 0)
        {
            return "0";
        }

        var significant = digits.TrimEnd('0');
        var written = 0;
        if (exponentAt >= 0 && !int.TryParse(raw.AsSpan(exponentAt + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out written))
        {
            return raw; // an exponent that nothing can hold: as it is written
        }

        var exponent = (long)written - fraction + (digits.Length - significant.Length);
        var sign = negative ? "-" : "";
        return exponent switch
        {
            >= 0 and <= 20 => $"{sign}{significant}{new string('0', (int)exponent)}",
            _ => $"{sign}{significant}e{exponent}",
        };
    }

    private static void Add(ref FieldHash hash, JsonElement value, IReadOnlyList<IReadOnlyList<string>> ignore, int depth)
    {
        hash.Add((int)value.ValueKind);
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                AddMembers(ref hash, value, ignore, depth);
                break;
            case JsonValueKind.Array:
                var index = 0;
                foreach (var item in value.EnumerateArray())
                {
                    var name = $"{index++}";
                    if (!IsIgnored(ignore, name, depth))
                    {
                        Add(ref hash, item, Below(ignore, name, depth), depth + 1);
                    }
                }

                break;
            case JsonValueKind.String:
                hash.Add(value.GetString());
                break;
            case JsonValueKind.Number:
                hash.Add(Number(value.GetRawText()));
                break;
            default:
                break;
        }

        hash.Add(-1); // the end, so that nesting cannot be confused with sequence
    }

    /// <summary>In the order of their names. In pooled arrays: a body may have a hundred thousand members.</summary>
    private static void AddMembers(ref FieldHash hash, JsonElement value, IReadOnlyList<IReadOnlyList<string>> ignore, int depth)
    {
        var count = value.GetPropertyCount();
        var names = ArrayPool<string>.Shared.Rent(count);
        var values = ArrayPool<JsonElement>.Shared.Rent(count);
        try
        {
            var read = 0;
            foreach (var member in value.EnumerateObject())
            {
                (names[read], values[read]) = (member.Name, member.Value);
                read++;
            }

            Array.Sort(names, values, 0, count, StringComparer.Ordinal);
            for (var i = 0; i < count; i++)
            {
                if (!IsIgnored(ignore, names[i], depth))
                {
                    hash.Add(names[i]);
                    Add(ref hash, values[i], Below(ignore, names[i], depth), depth + 1);
                }
            }
        }
        finally
        {
            ArrayPool<string>.Shared.Return(names, clearArray: true);
            ArrayPool<JsonElement>.Shared.Return(values, clearArray: true);
        }
    }

    private static bool IsIgnored(IReadOnlyList<IReadOnlyList<string>> ignore, string name, int depth) =>
        ignore.Any(pointer => pointer.Count == depth + 1 && pointer[depth] == name);

    private static IReadOnlyList<IReadOnlyList<string>> Below(IReadOnlyList<IReadOnlyList<string>> ignore, string name, int depth) =>
        ignore.Count == 0 ? ignore : [.. ignore.Where(pointer => pointer.Count > depth + 1 && pointer[depth] == name)];
}
