using Xunit;

namespace Gateway.Tests.Support;

/// <summary>A theory that needs a real Redis; see <see cref="RedisInstallation"/> for what happens when there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RedisTheoryAttribute : TheoryAttribute
{
    /// <param name="ownServer">The test stops its server or needs several, so that a shared one will not do.</param>
    public RedisTheoryAttribute(bool ownServer = false)
    {
        Skip = RedisInstallation.SkipReason(ownServer);
    }
}
