namespace Idempotency.Yarp.Policies;

/// <summary>
/// Text of a probe with values of the original request in braces: its request target, such as <c>/payments?ref={key}</c>,
/// <c>/orders/{route:id}</c>, <c>/links?url={body:/url}</c>, a header field, or what its answer must say.
/// </summary>
internal sealed class ProbeTemplate
{
    private const string KeyName = "key";

    private ProbeTemplate(string text, IReadOnlyList<Part> parts)
    {
        (Text, Parts) = (text, parts);
        Selectors = [.. parts.Select(part => part.Selector).OfType<Selector>()];
        ReadsBody = Selectors.Any(selector => selector.ReadsBody);
    }

    /// <summary>In place of one that cannot be parsed, so that reading goes on.</summary>
    public static ProbeTemplate Root { get; } = new("/", [new Part("/", null)]);

    /// <summary>A part is text as it is written, the key (no text, no selector), or the value of a selector.</summary>
    public readonly record struct Part(string? Literal, Selector? Selector);

    public string Text { get; }

    public IReadOnlyList<Part> Parts { get; }

    /// <summary>Parses a request target; on failure <paramref name="expected"/> says what was expected instead.</summary>
    public static ProbeTemplate? Parse(string text, out string expected)
    {
        const string PathExpected = "a path that begins with /, with {key}, {body:/POINTER}, {route:NAME} or another selector in braces, such as /payments?ref={key}";
        expected = PathExpected;
        return text.StartsWith('/') && !text.Any(c => c <= ' ' || c > '~') ? Parse(text, PathExpected, out expected) : null;
    }

    /// <summary>Parses any text; on failure <paramref name="expected"/> says what was expected instead.</summary>
    public static ProbeTemplate? ParseText(string text, out string expected) =>
        Parse(text, "text, with {key}, {body:/POINTER}, {route:NAME} or another selector in braces", out expected);

    private static ProbeTemplate? Parse(string text, string otherwise, out string expected)
    {
        expected = otherwise;
        var parts = new List<Part>();
        var rest = text;
        while (rest.Length > 0)
        {
            var open = rest.IndexOf('{', StringComparison.Ordinal);
            var literal = open < 0 ? rest : rest[..open];
            if (literal.Contains('}', StringComparison.Ordinal))
            {
                return null;
            }

            if (literal.Length > 0)
            {
                parts.Add(new Part(literal, null));
            }

            if (open < 0)
            {
                break;
            }

            var close = rest.IndexOf('}', open);
            if (close < 0)
            {
                return null;
            }

            var name = rest[(open + 1)..close];
            var selector = name == KeyName ? null : Selector.Parse(name, out expected) is { Kind: not SelectorKind.Credentials } parsed ? parsed : null;
            if (selector is null && name != KeyName)
            {
                return null;
            }

            parts.Add(new Part(null, selector));
            rest = rest[(close + 1)..];
        }

        return new ProbeTemplate(text, parts);
    }

    public IReadOnlyList<Selector> Selectors { get; }

    /// <summary>The key is part of it.</summary>
    public bool NamesKey => Parts.Any(part => part is { Literal: null, Selector: null });

    /// <summary>A value stands in the body.</summary>
    public bool ReadsBody { get; }

    public override string ToString() => Text;
}
