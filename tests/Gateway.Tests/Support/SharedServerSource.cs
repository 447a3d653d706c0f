namespace Gateway.Tests.Support;

/// <summary>Where the server comes from that tests share, because they neither stop it nor change its settings.</summary>
internal enum SharedServerSource
{
    /// <summary>Nowhere: tests are skipped on a developer's machine and fail in continuous integration.</summary>
    None,

    /// <summary>It runs already; REDIS_URL or POSTGRES_URL names it.</summary>
    Named,

    /// <summary>Testcontainers starts it.</summary>
    Container,

    /// <summary>The program that is installed on this machine is started.</summary>
    Installed,
}
