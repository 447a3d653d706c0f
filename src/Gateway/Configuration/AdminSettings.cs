namespace Gateway.Configuration;

/// <summary>The section <c>Admin</c>: where health is served, apart from the proxied traffic.</summary>
internal sealed record AdminSettings
{
    /// <summary>Loopback by default: nothing of it is meant for clients.</summary>
    public string Urls { get; init; } = "http://127.0.0.1:9091";

    /// <summary>Bearer token for everything but health; required off loopback.</summary>
    public string? Token { get; init; }
}
