namespace Gateway.Tests.Support;

/// <summary>
/// Where a real Redis comes from, and what to do when there is none: on a developer's machine tests that need it are
/// skipped, in continuous integration (<c>CI=true</c>) they run and fail, because a green run must mean that they ran.
/// </summary>
internal static class RedisInstallation
{
    private const string Missing =
        "Redis is missing: install Debian's redis-server (./test.sh does). Most tests are content with REDIS_URL (host:port) or a Docker engine.";

    /// <summary>
    /// The server of REDIS_URL as <c>host:port</c> (a leading <c>redis://</c> is forgiven); null when it names none.
    /// Tests flush it, so it must hold nothing of worth.
    /// </summary>
    public static string? ExternalServer { get; } =
        Environment.GetEnvironmentVariable("REDIS_URL") is { Length: > 0 } url
            ? url.Replace("redis://", "", StringComparison.Ordinal).TrimEnd('/')
            : null;

    public static bool IsContinuousIntegration { get; } =
        string.Equals(Environment.GetEnvironmentVariable("CI"), "true", StringComparison.OrdinalIgnoreCase);

    private static string? ServerPath { get; } = FindOnPath("redis-server");

    /// <summary>Where the server comes from that tests share.</summary>
    public static SharedServerSource Shared => SharedServers.Choose(ExternalServer is not null, ServerPath is not null);

    /// <summary>Null when the test runs.</summary>
    /// <param name="ownServer">The test stops its server or needs several, so that a shared one will not do.</param>
    public static string? SkipReason(bool ownServer) => SharedServers.SkipReason(CanServe(ownServer), IsContinuousIntegration, Missing);

    /// <summary>False means: leave the fixture alone, the tests that would use it are skipped.</summary>
    public static bool IsUsable(bool ownServer) => SkipReason(ownServer) is null;

    /// <exception cref="InvalidOperationException">There is no redis-server on PATH.</exception>
    public static string RequireServer() => ServerPath ?? throw new InvalidOperationException(Missing);

    private static bool CanServe(bool ownServer) => ownServer ? ServerPath is not null : Shared is not SharedServerSource.None;

    private static string? FindOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "")
            .Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, program))
            .FirstOrDefault(File.Exists);
}
