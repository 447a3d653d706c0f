using System.Net;

namespace Gateway.Forwarding;

/// <summary>The field <c>Forwarded</c> (RFC 7239): what each proxy on the way says of the one before it, the last one on the right.</summary>
internal static class ForwardedElements
{
    /// <returns>The elements as they were written, from left to right; null when the field is malformed.</returns>
    public static List<Element>? Parse(string text)
    {
        var elements = new List<Element>();
        var rest = text.AsSpan();
        while (true)
        {
            var element = new Element();
            var start = rest;
            while (true)
            {
                rest = rest.TrimStart(" \t");
                var equals = rest.IndexOf('=');
                if (equals <= 0 || !IsToken(rest[..equals]))
                {
                    return null;
                }

                var name = rest[..equals];
                rest = rest[(equals + 1)..];
                if (ReadValue(ref rest) is not { } value)
                {
                    return null;
                }

                element.Set(name, value);
                rest = rest.TrimStart(" \t");
                if (rest is not [';', ..])
                {
                    break;
                }

                rest = rest[1..];
            }

            element.Text = start[..(start.Length - rest.Length)].Trim(" \t").ToString();
            elements.Add(element);
            if (rest.IsEmpty)
            {
                return elements;
            }

            if (rest[0] != ',')
            {
                return null;
            }

            rest = rest[1..];
        }
    }

    /// <summary>A node as it stands in <c>for</c> and in <c>X-Forwarded-For</c>: an address, perhaps with a port; null for anything else, such as <c>unknown</c>.</summary>
    public static IPAddress? AddressOf(ReadOnlySpan<char> node)
    {
        node = node.Trim(" \t");
        if (node is ['[', ..])
        {
            var close = node.IndexOf(']');
            return close > 0 && IsPort(node[(close + 1)..]) ? Parse4Or6(node[1..close]) : null;
        }

        var colon = node.IndexOf(':');
        if (colon >= 0 && node.LastIndexOf(':') == colon)
        {
            return IsPort(node[colon..]) ? Parse4Or6(node[..colon]) : null;
        }

        return Parse4Or6(node);
    }

    /// <summary>IPv4 in four parts only: the framework would take <c>1</c> for <c>0.0.0.1</c>.</summary>
    private static IPAddress? Parse4Or6(ReadOnlySpan<char> text) =>
        !IPAddress.TryParse(text, out var address) || (!text.Contains(':') && text.Count('.') != 3) ? null : address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;

    /// <summary>An element of the gateway's own.</summary>
    public static string Write(IPAddress? peer, string scheme, string host)
    {
        var node = peer is null ? "unknown" : peer.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"\"[{peer}]\"" : peer.ToString();
        return $"for={node};proto={scheme};host=\"{host.Replace("\\", "", StringComparison.Ordinal).Replace("\"", "", StringComparison.Ordinal)}\"";
    }

    private static bool IsPort(ReadOnlySpan<char> text) => text.IsEmpty || (text is [':', _, ..] && !text[1..].ContainsAnyExceptInRange('0', '9'));

    private static string? ReadValue(ref ReadOnlySpan<char> rest)
    {
        if (rest is not ['"', ..])
        {
            var end = rest.IndexOfAny(";, \t");
            var token = end < 0 ? rest : rest[..end];
            rest = rest[token.Length..];
            return IsToken(token) ? token.ToString() : null;
        }

        var value = new System.Text.StringBuilder();
        for (var i = 1; i < rest.Length; i++)
        {
            if (rest[i] == '"')
            {
                rest = rest[(i + 1)..];
                return value.ToString();
            }

            i += rest[i] == '\\' && i + 1 < rest.Length ? 1 : 0;
            value.Append(rest[i]);
        }

        return null;
    }

    private static bool IsToken(ReadOnlySpan<char> text)
    {
        foreach (var c in text)
        {
            if (!char.IsAsciiLetterOrDigit(c) && !"!#$%&'*+-.^_`|~".Contains(c, StringComparison.Ordinal))
            {
                return false;
            }
        }

        return !text.IsEmpty;
    }

    /// <summary>What one proxy said; of other parameters nothing is read.</summary>
    public sealed class Element
    {
        public string Text { get; set; } = "";

        public string? For { get; private set; }

        public string? Proto { get; private set; }

        public string? Host { get; private set; }

        internal void Set(ReadOnlySpan<char> name, string value)
        {
            if (name.Equals("for", StringComparison.OrdinalIgnoreCase))
            {
                For = value;
            }
            else if (name.Equals("proto", StringComparison.OrdinalIgnoreCase))
            {
                Proto = value;
            }
            else if (name.Equals("host", StringComparison.OrdinalIgnoreCase))
            {
                Host = value;
            }
        }
    }
}
