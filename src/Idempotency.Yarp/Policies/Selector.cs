namespace Idempotency.Yarp.Policies;

/// <summary>Where in a request a selector looks.</summary>
internal enum SelectorKind
{
    /// <summary><c>header:NAME</c>, a header field.</summary>
    Header,

    /// <summary><c>query:NAME</c>, a parameter of the query, decoded.</summary>
    Query,

    /// <summary><c>route:NAME</c>, a value of the route's path pattern, decoded.</summary>
    Route,

    /// <summary><c>body:/json/pointer</c>, a value in a JSON body (RFC 6901).</summary>
    Body,

    /// <summary><c>form:NAME</c>, a field of a form body, urlencoded or multipart.</summary>
    Form,

    /// <summary><c>claim:TYPE</c>, a claim of a validated token.</summary>
    Claim,

    /// <summary><c>cookie:NAME</c>, a cookie (RFC 6265), as it was sent.</summary>
    Cookie,

    /// <summary><c>client-ip</c>, the peer's address.</summary>
    ClientIp,

    /// <summary><c>client-certificate</c>, the SHA-256 of the certificate that the client proved to have.</summary>
    ClientCertificate,

    /// <summary><c>credentials</c>, everything by which callers usually say who they are; a scope only.</summary>
    Credentials,
}

/// <summary>Where a value is taken from a request: one grammar wherever a policy names a value.</summary>
/// <param name="Kind">Where to look.</param>
/// <param name="Name">The name, or the JSON pointer, that stands behind the colon; empty where there is none.</param>
internal sealed record Selector(SelectorKind Kind, string Name)
{
    public const string Grammar = "header:NAME, query:NAME, route:NAME, body:/JSON/POINTER, form:NAME, claim:TYPE, cookie:NAME, client-ip or client-certificate";

    /// <summary>The fields of <c>credentials</c>, beside the client's certificate. The first is what scopes were by default until 0.1.0.</summary>
    public static readonly IReadOnlyList<Selector> CredentialFields = [Header("Authorization"), Header("X-Api-Key"), Header("Api-Key")];

    /// <summary>The default scope.</summary>
    public static readonly Selector Credentials = new(SelectorKind.Credentials, "");

    public static readonly Selector ClientCertificate = new(SelectorKind.ClientCertificate, "");

    private static readonly (string Prefix, SelectorKind Kind)[] Prefixes =
    [
        ("header:", SelectorKind.Header), ("query:", SelectorKind.Query), ("route:", SelectorKind.Route), ("body:", SelectorKind.Body),
        ("form:", SelectorKind.Form), ("claim:", SelectorKind.Claim), ("cookie:", SelectorKind.Cookie),
    ];

    private static readonly (string Name, SelectorKind Kind)[] Nameless =
    [
        ("client-ip", SelectorKind.ClientIp), ("client-certificate", SelectorKind.ClientCertificate), ("credentials", SelectorKind.Credentials),
    ];

    /// <summary>The tokens of <c>body:</c>; empty for every other kind, and for the whole body.</summary>
    public IReadOnlyList<string> Pointer { get; } = Kind == SelectorKind.Body ? JsonPointer.Parse(Name) ?? [] : [];

    /// <summary>The body must be read, and parsed, to find the value.</summary>
    public bool ReadsBody => Kind is SelectorKind.Body or SelectorKind.Form;

    /// <summary>Whether it takes its value from the header field of this name.</summary>
    public bool IsField(string name) => Kind == SelectorKind.Header && Name.Equals(name, StringComparison.OrdinalIgnoreCase);

    public static Selector Header(string name) => new(SelectorKind.Header, name);

    /// <summary>Parses a selector; on failure <paramref name="expected"/> says what was expected instead.</summary>
    public static Selector? Parse(string text, out string expected)
    {
        expected = Grammar;
        foreach (var (name, kind) in Nameless)
        {
            if (text.Equals(name, StringComparison.OrdinalIgnoreCase))
            {
                return new Selector(kind, "");
            }
        }

        foreach (var (prefix, kind) in Prefixes)
        {
            if (text.StartsWith(prefix, StringComparison.OrdinalIgnoreCase))
            {
                var name = text[prefix.Length..];
                expected = Expected(kind);
                return IsName(kind, name) ? new Selector(kind, name) : null;
            }
        }

        return null;
    }

    public override string ToString() => (int)Kind < Prefixes.Length ? $"{Prefixes[(int)Kind].Prefix}{Name}" : Nameless[(int)Kind - Prefixes.Length].Name;

    private static bool IsName(SelectorKind kind, string name) => kind switch
    {
        SelectorKind.Header or SelectorKind.Cookie => HttpToken.IsToken(name),
        SelectorKind.Body => JsonPointer.Parse(name) is not null,
        _ => name.Length > 0,
    };

    private static string Expected(SelectorKind kind) => kind switch
    {
        SelectorKind.Header => "header:NAME with the name of a header field",
        SelectorKind.Cookie => "cookie:NAME with the name of a cookie",
        SelectorKind.Body => "body: with a JSON pointer (RFC 6901) such as body:/order/id",
        _ => $"{Prefixes[(int)kind].Prefix} with a name",
    };
}
