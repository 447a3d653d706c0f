namespace Gateway.Tests.Support;

/// <summary>
/// An HTTP/1.1 message as it stood on the wire, request or response. Headers are in the order of the wire, one entry per
/// line, names as written; trailers are the fields after the last chunk. All text is Latin-1: a character is a byte.
/// IsComplete is false when the connection ended before the framing said so; of a body that is framed by
/// <see cref="Http1Framing.Close"/> nobody can tell, and true means only that the connection was not reset.
/// </summary>
public sealed record Http1Message(
    string StartLine,
    IReadOnlyList<KeyValuePair<string, string>> Headers,
    byte[] Body,
    IReadOnlyList<KeyValuePair<string, string>> Trailers,
    Http1Framing Framing,
    bool IsComplete)
{
    /// <summary>Of a request line.</summary>
    public string Method => StartLine.Split(' ')[0];

    /// <summary>Of a request line, exactly as written.</summary>
    public string Target => StartLine.Split(' ')[1];

    /// <summary>Of a status line.</summary>
    public int Status => int.Parse(StartLine.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The body read as UTF-8.</summary>
    public string Text => System.Text.Encoding.UTF8.GetString(Body);

    /// <summary>The values of all lines of that name, in order.</summary>
    public IReadOnlyList<string> HeaderValues(string name) => [.. ValuesOf(Headers, name)];

    /// <summary>The one value, or null without the field; several lines fail the test.</summary>
    public string? Header(string name) => ValuesOf(Headers, name).SingleOrDefault();

    internal static IEnumerable<string> ValuesOf(IEnumerable<KeyValuePair<string, string>> fields, string name) =>
        fields.Where(field => field.Key.Equals(name, StringComparison.OrdinalIgnoreCase)).Select(field => field.Value);
}
