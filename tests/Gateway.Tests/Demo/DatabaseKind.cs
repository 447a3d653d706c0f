namespace Gateway.Tests.Demo;

/// <summary>Below the demo backend.</summary>
public enum DatabaseKind
{
    Sqlite,
    Postgres,
}
