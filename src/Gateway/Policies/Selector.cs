namespace Gateway.Policies;

/// <summary>Where a value is taken from a request, written <c>header:NAME</c>.</summary>
/// <param name="Name">The header field's name.</param>
internal sealed record Selector(string Name)
{
    /// <summary>Kinds of the grammar that this release reads but does not serve yet.</summary>
    private static readonly string[] NotYet = ["query:", "route:", "body:", "form:", "claim:", "client-ip"];

    public static Selector Header(string name) => new(name);

    /// <summary>Parses a selector; on failure <paramref name="expected"/> says what was expected instead.</summary>
    public static Selector? Parse(string text, out string expected)
    {
        expected = "header:NAME with the name of a header field";
        if (Array.Find(NotYet, prefix => text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase)) is { } kind)
        {
            expected = $"header:NAME; selectors of the kind '{kind.TrimEnd(':')}' are not supported yet";
            return null;
        }

        const string Prefix = "header:";
        return text.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase) && HttpToken.IsToken(text[Prefix.Length..])
            ? new Selector(text[Prefix.Length..])
            : null;
    }

    public override string ToString() => $"header:{Name}";
}
