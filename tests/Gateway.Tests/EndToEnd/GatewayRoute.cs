namespace Gateway.Tests.EndToEnd;

/// <summary>One route with a cluster of its own.</summary>
/// <param name="Path">As in <c>Match:Path</c>; also the names of route and cluster.</param>
/// <param name="Backend">The address of the only destination.</param>
/// <param name="Policy">The one line of metadata; null leaves the route unguarded.</param>
/// <param name="ActivityTimeout">How long the backend may be silent; null for YARP's default.</param>
/// <param name="HttpVersion">The only one that the backend is spoken to in, such as <c>2</c>; null for what it can do.</param>
/// <param name="AuthorizationPolicy"><c>Default</c> asks for a valid token; null does not.</param>
/// <param name="Host">The destination's virtual host; null for its address.</param>
internal sealed record GatewayRoute(
    string Path, string Backend, string? Policy = "default", TimeSpan? ActivityTimeout = null, string? HttpVersion = null, string? AuthorizationPolicy = null, string? Host = null)
{
    /// <summary>Of the route, as in <c>Transforms</c>; null for none.</summary>
    public IReadOnlyList<Dictionary<string, string>>? Transforms { get; init; }

    /// <summary>The backend is behind TLS, with a certificate that nobody knows.</summary>
    public bool AcceptsAnyCertificate { get; init; }
}
