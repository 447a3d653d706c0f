using DotNet.Testcontainers.Configurations;

namespace Gateway.Tests.Support;

/// <summary>
/// Which source a shared server has: the first that can be had of one that is named, a container, and the program installed. TEST_SERVERS
/// may demand <c>containers</c>, and then nothing else will do in place of one, or <c>installed</c>, where an engine has no images.
/// </summary>
internal static class SharedServers
{
    private static readonly Lazy<bool> Engine = new(() => TestcontainersSettings.OS.DockerEndpointAuthConfig is not null);

    /// <summary>What TEST_SERVERS demands; null when nothing.</summary>
    public static string? Demand { get; } = Environment.GetEnvironmentVariable("TEST_SERVERS") is { Length: > 0 } demand ? demand : null;

    /// <param name="isNamed">REDIS_URL or POSTGRES_URL is set.</param>
    /// <param name="isInstalled">Its program is on this machine.</param>
    public static SharedServerSource Choose(bool isNamed, bool isInstalled) => Choose(isNamed, Demand, () => Engine.Value, isInstalled);

    /// <summary>Null when a test that needs the server runs.</summary>
    /// <param name="missing">What the developer can do about it.</param>
    public static string? SkipReason(bool canServe, bool isContinuousIntegration, string missing) =>
        canServe || isContinuousIntegration ? null : missing;

    /// <exception cref="InvalidOperationException">The demand is not one of those that there are.</exception>
    internal static SharedServerSource Choose(bool isNamed, string? demand, Func<bool> engineAnswers, bool isInstalled)
    {
        var installed = isInstalled ? SharedServerSource.Installed : SharedServerSource.None;
        return demand switch
        {
            not (null or "containers" or "installed") =>
                throw new InvalidOperationException($"TEST_SERVERS is '{demand}'; it may be 'containers' or 'installed'."),
            _ when isNamed => SharedServerSource.Named,
            "containers" => SharedServerSource.Container,
            "installed" => installed,
            _ => engineAnswers() ? SharedServerSource.Container : installed,
        };
    }
}
