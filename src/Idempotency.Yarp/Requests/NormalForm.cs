using System.Buffers;
using System.Globalization;
using System.Text;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Idempotency.Yarp;

/// <summary>One text for everything that says the same, so that a retry which is written in another way is no other request.</summary>
internal static class NormalForm
{
    /// <summary>RFC 3986, section 2.3.</summary>
    private static readonly SearchValues<char> Unreserved = SearchValues.Create("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <summary>Path and query, with what needs no percent-encoding decoded, and the rest in upper case (RFC 9110, section 4.2.3).</summary>
    /// <param name="target">In origin form.</param>
    /// <returns>The query is null when there is none.</returns>
    public static (string Path, string? Query) OfTarget(string target)
    {
        var normal = OfEncoding(target);
        var query = normal.IndexOf('?', StringComparison.Ordinal);
        return query < 0 ? (normal, null) : (normal[..query], normal[(query + 1)..]);
    }

    /// <summary>In lower case, without the scheme's own port (RFC 9110, section 4.2.3).</summary>
    public static string OfHost(HttpRequest request)
    {
        var host = request.Host;
        var name = host.Host.ToLowerInvariant();
        return host.Port is { } port && port != (request.IsHttps ? 443 : 80) ? string.Create(CultureInfo.InvariantCulture, $"{name}:{port}") : name;
    }

    /// <summary>Of all lines of a field; null when there are none.</summary>
    /// <param name="name">The field.</param>
    /// <param name="values">A value per line, which is the same as one line with commas (RFC 9110, section 5.3).</param>
    /// <param name="isWithoutBoundary">Of Content-Type: leaves the boundary out.</param>
    public static string? OfHeader(string name, in StringValues values, bool isWithoutBoundary)
    {
        if (values.Count == 0)
        {
            return null;
        }

        var value = values.Count == 1 ? values[0] ?? "" : string.Join(", ", (IEnumerable<string?>)values);
        return name.Equals("Content-Type", StringComparison.OrdinalIgnoreCase) ? OfContentType(value, isWithoutBoundary)
            : name.Equals("Content-Encoding", StringComparison.OrdinalIgnoreCase) ? value.ToLowerInvariant() // RFC 9110, section 8.4.1
            : value;
    }

    /// <summary>Type, names of parameters and charset in lower case, quotes only where they are needed, parameters in order (RFC 9110, section 8.3).</summary>
    private static string OfContentType(string value, bool isWithoutBoundary)
    {
        if (!MediaTypeHeaderValue.TryParse(value, out var type))
        {
            return value;
        }

        var text = new StringBuilder(type.MediaType.ToString().ToLowerInvariant());
        var parameters = from parameter in type.Parameters
                         let name = parameter.Name.ToString().ToLowerInvariant()
                         where !isWithoutBoundary || name != "boundary"
                         orderby name
                         select (name, value: HeaderUtilities.UnescapeAsQuotedString(parameter.Value).ToString());
        foreach (var (name, given) in parameters)
        {
            text.Append('\n').Append(name).Append('=').Append(name == "charset" ? given.ToLowerInvariant() : given);
        }

        return text.ToString();
    }

    private static string OfEncoding(string target)
    {
        if (!target.Contains('%', StringComparison.Ordinal))
        {
            return target;
        }

        var text = new StringBuilder(target.Length);
        for (var i = 0; i < target.Length; i++)
        {
            if (target[i] == '%' && i + 2 < target.Length && char.IsAsciiHexDigit(target[i + 1]) && char.IsAsciiHexDigit(target[i + 2]))
            {
                var code = (char)((HexValue(target[i + 1]) << 4) | HexValue(target[i + 2]));
                text.Append(Unreserved.Contains(code) ? code.ToString() : target.Substring(i, 3).ToUpperInvariant());
                i += 2;
            }
            else
            {
                text.Append(target[i]);
            }
        }

        return text.ToString();
    }

    private static int HexValue(char digit) => char.IsAsciiDigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
}
