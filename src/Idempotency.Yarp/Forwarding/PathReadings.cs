using System.Buffers;
using System.Text;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// What a backend may take a path for. Servers differ in how often they decode, whether a parameter (<c>;x=1</c>) ends a segment before or after
/// that, whether a backslash, a double slash, a dot at the end or a character that looks like a slash means anything (RFC 3986, section 6.2.2, leaves
/// all of it open); so that one path leads to several resources, and routing has seen one of them.
/// </summary>
internal static class PathReadings
{
    private const int MaxDecodings = 3;

    /// <summary>Of what every server reads alike there is none in a path.</summary>
    private static readonly SearchValues<string> Suspects = SearchValues.Create(["%", ";", "\\", "//", "/.", "./"], StringComparison.Ordinal);

    /// <summary>UTF-8 that is longer than it need be, and forbidden (RFC 3629, section 3), for <c>/</c>, <c>\</c> and <c>.</c></summary>
    private static readonly (string Bytes, string Means)[] Overlong =
    [
        ("\u00C0\u00AF", "/"), ("\u00E0\u0080\u00AF", "/"), ("\u00F0\u0080\u0080\u00AF", "/"),
        ("\u00C1\u009C", "/"), ("\u00E0\u0081\u009C", "/"), ("\u00C0\u00AE", "."), ("\u00E0\u0080\u00AE", "."), ("\u00F0\u0080\u0080\u00AE", "."),
    ];

    /// <summary>Characters that conversions between character sets turn into others ("best fit").</summary>
    private static readonly (char Looks, char Means)[] LookAlikes =
    [
        ('\\', '/'), ('\uFF0F', '/'), ('\u2215', '/'), ('\u2044', '/'), ('\u29F8', '/'), ('\uFF3C', '/'), ('\u2216', '/'), ('\u29F5', '/'), ('\uFE68', '/'),
        ('\uFF0E', '.'), ('\u2024', '.'), ('\uFE52', '.'), ('\uFF1B', ';'),
    ];

    /// <param name="target">The request target in origin form, as it is forwarded.</param>
    /// <returns>Every path that it may be read as, normalised; nothing when there can be one only.</returns>
    public static IReadOnlyCollection<string> Of(string target)
    {
        var query = target.IndexOf('?', StringComparison.Ordinal);
        var path = query < 0 ? target : target[..query];
        if (!path.AsSpan().ContainsAny(Suspects) && !path.EndsWith('.'))
        {
            return [];
        }

        var readings = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var start in (string[])[path, WithoutParameters(path)])
        {
            var decoded = start;
            for (var i = 0; i <= MaxDecodings; i++)
            {
                foreach (var reading in (string[])[decoded, WithoutParameters(decoded)])
                {
                    readings.Add(Normalise(Text(reading).Split('/')));
                    readings.Add(Normalise(Lenient(reading)));
                }

                var next = Decode(decoded);
                if (next == decoded)
                {
                    break;
                }

                decoded = next;
            }
        }

        return readings;
    }

    /// <summary>Without empty segments, dot segments resolved.</summary>
    private static string Normalise(IEnumerable<string> segments)
    {
        var kept = new List<string>();
        foreach (var segment in segments)
        {
            if (segment == ".." && kept.Count > 0)
            {
                kept.RemoveAt(kept.Count - 1);
            }
            else if (segment is not ("" or "." or ".."))
            {
                kept.Add(segment);
            }
        }

        return $"/{string.Join('/', kept)}";
    }

    /// <summary>As servers read that mean well: backslashes, look-alikes, what stands behind a NUL, and dots and spaces at the end of a name.</summary>
    private static IEnumerable<string> Lenient(string path)
    {
        var text = path;
        foreach (var (bytes, means) in Overlong)
        {
            text = text.Replace(bytes, means, StringComparison.Ordinal);
        }

        text = Text(text);
        foreach (var (looks, means) in LookAlikes)
        {
            text = text.Replace(looks, means);
        }

        var nul = text.IndexOf('\0', StringComparison.Ordinal);
        text = nul < 0 ? text : text[..nul];
        foreach (var segment in text.Split('/'))
        {
            var name = segment.Trim([' ', '\t', '\r', '\n']);
            yield return name is "." or ".." ? name : name.TrimEnd(['.', ' ']);
        }
    }

    /// <summary>Decoded bytes are one character each up to here.</summary>
    private static string Text(string bytes) => Encoding.UTF8.GetString(Encoding.Latin1.GetBytes(bytes));

    private static string WithoutParameters(string path) =>
        path.Contains(';', StringComparison.Ordinal) ? string.Join('/', path.Split('/').Select(segment => segment.Split(';')[0])) : path;

    /// <summary>Each byte becomes a character; what is no percent-encoding stays.</summary>
    private static string Decode(string path)
    {
        if (!path.Contains('%', StringComparison.Ordinal))
        {
            return path;
        }

        var decoded = new StringBuilder(path.Length);
        for (var i = 0; i < path.Length; i++)
        {
            if (path[i] == '%' && i + 2 < path.Length && char.IsAsciiHexDigit(path[i + 1]) && char.IsAsciiHexDigit(path[i + 2]))
            {
                decoded.Append((char)Convert.ToByte(path.Substring(i + 1, 2), 16));
                i += 2;
            }
            else
            {
                decoded.Append(path[i]);
            }
        }

        return decoded.ToString();
    }
}
