namespace Gateway.Configuration;

/// <summary>
/// How bearer tokens are validated (<c>Authentication:Jwt</c>), for routes with an <c>AuthorizationPolicy</c>. Read at start only.
/// </summary>
internal sealed record JwtSettings
{
    /// <summary>The issuer's address, whose keys are found by OpenID Connect discovery; null when <see cref="KeysFile"/> has them.</summary>
    public string? Authority { get; init; }

    /// <summary>Who must have issued a token; by default the one that discovery names.</summary>
    public string? Issuer { get; init; }

    /// <summary>For whom a token must be.</summary>
    public string? Audience { get; init; }

    /// <summary>A file with a JSON Web Key Set (RFC 7517), in place of discovery.</summary>
    public string? KeysFile { get; init; }
}
