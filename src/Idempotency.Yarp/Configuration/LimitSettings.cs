namespace Idempotency.Yarp.Configuration;

/// <summary>Bounds over all requests (<c>Limits</c>). Read at start only.</summary>
internal sealed record LimitSettings
{
    /// <summary>Bodies in memory, all together. 128 MiB, in bytes: roughly half of what the process takes at most, for parsers, pipes and records copy what passes through.</summary>
    public long BufferedBytes { get; init; } = 128 * 1024 * 1024;

    /// <summary>From the header section to the last byte of a request body. One minute: 1 MiB at 140 kbit/s.</summary>
    public TimeSpan RequestBodyTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a client may take to read an answer that is on record. One minute: it can come again for it.</summary>
    public TimeSpan SlowReader { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How many requests wait for another one, over all keys and locks. 1,000: each holds a connection and its body.</summary>
    public int MaxWaiters { get; init; } = 1000;
}
