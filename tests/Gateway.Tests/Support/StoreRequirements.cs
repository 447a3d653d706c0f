namespace Gateway.Tests.Support;

/// <summary>The class runs on Redis.</summary>
/// <param name="ownServer">As in <see cref="RedisFactAttribute"/>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnRedisAttribute(bool ownServer = true) : StoreRequirementAttribute
{
    public bool OwnServer => ownServer;

    public override string? SkipReason => RedisInstallation.SkipReason(ownServer);
}

/// <summary>The class runs on PostgreSQL.</summary>
/// <param name="ownServer">As in <see cref="PostgresFactAttribute"/>.</param>
[AttributeUsage(AttributeTargets.Class)]
public sealed class OnPostgresAttribute(bool ownServer = true) : StoreRequirementAttribute
{
    public bool OwnServer => ownServer;

    public override string? SkipReason => PostgresInstallation.SkipReason(ownServer);
}

/// <summary>The class moves clocks (<see cref="FakeClock"/>).</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class MovesClocksAttribute : StoreRequirementAttribute
{
    public override string? SkipReason => FakeClock.SkipReason;
}
