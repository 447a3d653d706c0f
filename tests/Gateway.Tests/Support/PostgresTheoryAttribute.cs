using Xunit;

namespace Gateway.Tests.Support;

/// <summary>A theory that needs a real PostgreSQL; see <see cref="PostgresInstallation"/> for what happens when there is none.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PostgresTheoryAttribute : TheoryAttribute
{
    /// <param name="ownServer">The test stops its server or needs several, so that a shared one will not do.</param>
    public PostgresTheoryAttribute(bool ownServer = false)
    {
        Skip = PostgresInstallation.SkipReason(ownServer);
    }
}
