namespace Gateway.Storage;

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
    /// <summary>StackExchange.Redis configuration string: one node, or the nodes of a Cluster, comma separated.</summary>
    public string Configuration { get; init; } = "127.0.0.1:6379";

    /// <summary>Put before every key, so that several gateways can share a server.</summary>
    public string KeyPrefix { get; init; } = "idem:";
}

/// <summary>The section <c>Store:Postgres</c>.</summary>
internal sealed record PostgresStoreSettings
{
    /// <summary>Npgsql connection string: one server, or several of which the one that takes writes is used.</summary>
    public string ConnectionString { get; init; } = "Host=127.0.0.1;Database=idempotency";
}
