namespace Idempotency.Storage;

internal enum StoreKind
{
    Embedded,
    Redis,
    Postgres,
}

/// <summary>The section <c>Store</c> of the configuration.</summary>
internal sealed record StoreSettings
{
    /// <summary>Embedded by default: it needs nothing beside the gateway and survives restarts.</summary>
    public StoreKind Kind { get; init; } = StoreKind.Embedded;

    /// <summary>The longest that one store call may take. A second is far above any healthy store and below any client's patience.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(1);

    public EmbeddedStoreSettings Embedded { get; init; } = new();

    public RedisStoreSettings Redis { get; init; } = new();

    public PostgresStoreSettings Postgres { get; init; } = new();

    public AnswersSettings Answers { get; init; } = new();
}

/// <summary>The section <c>Store:Embedded</c>.</summary>
internal sealed record EmbeddedStoreSettings
{
    /// <summary>The SQLite file, created with its folder when missing. Relative to the working directory.</summary>
    public string Path { get; init; } = "data/idempotency.db";

    /// <summary>Full survives power loss; Normal survives the death of the process only, and is faster on slow disks.</summary>
    public Durability Durability { get; init; } = Durability.Full;
}

/// <summary>When a write to the embedded store counts as acknowledged.</summary>
internal enum Durability
{
    /// <summary>After the operating system flushed it to the disk (<c>synchronous=FULL</c>).</summary>
    Full,

    /// <summary>After the operating system took it (<c>synchronous=NORMAL</c>): a power loss may take the last writes back.</summary>
    Normal,
}

/// <summary>The section <c>Store:Redis</c>.</summary>
internal sealed record RedisStoreSettings
{
    /// <summary>
    /// End points, comma separated: one node, the nodes of a Cluster, or the Sentinels; then options that have no setting of their own.
    /// </summary>
    public string Configuration { get; init; } = "127.0.0.1:6379";

    /// <summary>Put before every key, so that several gateways can share a server.</summary>
    public string KeyPrefix { get; init; } = "idem:";

    /// <summary>Who the gateway is to the servers that hold its keys.</summary>
    public RedisLogin Login { get; init; } = new();

    public RedisTlsSettings Tls { get; init; } = new();

    public RedisSentinelSettings Sentinel { get; init; } = new();

    /// <summary>When a claim or an answer counts as acknowledged.</summary>
    public RedisAcknowledge Acknowledge { get; init; } = RedisAcknowledge.Primary;
}

/// <summary>Who must have a write before it counts.</summary>
internal enum RedisAcknowledge
{
    /// <summary>The primary: a failover may lose the last writes, which their gateways put back while they live.</summary>
    Primary,

    /// <summary>A replica, too (WAIT 1): costs a round trip between the servers, and refuses keyed requests while no replica follows.</summary>
    Replica,
}

/// <summary><c>User</c>, <c>Password</c> and <c>PasswordFile</c> of a section; all null for a server that asks for none.</summary>
internal sealed record RedisLogin
{
    /// <summary>An ACL user (Redis 6); null for the default user.</summary>
    public string? User { get; init; }

    public SecretText? Password { get; init; }

    /// <summary>In place of <see cref="Password"/>: read at every connect, so that a password can be changed while the gateway runs.</summary>
    public string? PasswordFile { get; init; }
}

/// <summary>The section <c>Store:Redis:Tls</c>: TLS 1.2 or 1.3. Files are read at every connect, so that they can be renewed.</summary>
internal sealed record RedisTlsSettings
{
    public bool Enabled { get; init; }

    /// <summary>Roots to trust instead of the machine's, in PEM.</summary>
    public string? CaFile { get; init; }

    /// <summary>The name that certificates must have; null for the host of the end point.</summary>
    public string? ServerName { get; init; }

    /// <summary>The gateway's own certificate, in PEM, with intermediates if it needs any.</summary>
    public string? CertificateFile { get; init; }

    /// <summary>Its key; null when the key stands in <see cref="CertificateFile"/>.</summary>
    public string? KeyFile { get; init; }
}

/// <summary>The section <c>Store:Redis:Sentinel</c>: with it, <see cref="RedisStoreSettings.Configuration"/> names the Sentinels.</summary>
internal sealed record RedisSentinelSettings
{
    /// <summary>The name that Sentinels know the master by; null without Sentinel.</summary>
    public string? ServiceName { get; init; }

    /// <summary>Who the gateway is to the Sentinels. They never get the servers' password.</summary>
    public RedisLogin Login { get; init; } = new();
}

/// <summary>The section <c>Store:Postgres</c>.</summary>
internal sealed record PostgresStoreSettings
{
    /// <summary>Npgsql connection string: one server, or several of which the one that takes writes is used.</summary>
    public string ConnectionString { get; init; } = "Host=127.0.0.1;Database=idempotency";
}
