namespace Idempotency.Storage;

/// <summary>Where the bodies of recorded answers are kept.</summary>
internal enum AnswersKind
{
    /// <summary>In their records.</summary>
    Inline,

    /// <summary>Large ones in a Redis of their own, which may evict.</summary>
    Redis,
}

/// <summary>The section <c>Store:Answers</c>: bodies of recorded answers apart from the records that decide.</summary>
internal sealed record AnswersSettings
{
    /// <summary>
    /// The largest body that goes into its record when the answers' server does not take it. 1 MiB, the default of
    /// <c>Response:MaxBodyBytes</c>: what a store that was made for small records has to bear during an outage.
    /// </summary>
    public const int MaxInlineBytes = 1024 * 1024;

    /// <summary>Inline by default: one server less that can be away when a retry comes.</summary>
    public AnswersKind Kind { get; init; } = AnswersKind.Inline;

    /// <summary>Bodies from this size on are kept apart. 16 KiB, in bytes: below it, a second round trip costs more than it saves.</summary>
    public int MinBytes { get; init; } = 16 * 1024;

    public RedisStoreSettings Redis { get; init; } = new();
}
