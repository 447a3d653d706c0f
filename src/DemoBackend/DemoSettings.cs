namespace DemoBackend;

/// <summary>The command line; <see cref="DemoBackendApp"/> says what there is.</summary>
internal sealed record DemoSettings
{
    public required string Database { get; init; }

    public required string? Connection { get; init; }

    public required TimeSpan RoundTrip { get; init; }

    public required string ForeignUrls { get; init; }

    /// <summary>Null for the own <see cref="ForeignSystems"/>.</summary>
    public required Uri? CoreBanking { get; init; }

    /// <inheritdoc cref="CoreBanking"/>
    public required Uri? Registry { get; init; }

    public required TimeSpan ForeignTimeout { get; init; }

    /// <summary>Zero: nothing completes an account but a retry.</summary>
    public required TimeSpan CompleterInterval { get; init; }

    /// <summary>How long nobody has worked on an account before the completer does.</summary>
    public required TimeSpan CompleterAfter { get; init; }

    public static DemoSettings Read(IConfiguration settings) => new()
    {
        Database = settings["database"] ?? "data/demo.db",
        Connection = settings["connection"],
        RoundTrip = Milliseconds(settings, "round-trip", 20),
        ForeignUrls = settings["foreign-urls"] ?? "http://127.0.0.1:0",
        CoreBanking = Url(settings["core-banking"]),
        Registry = Url(settings["registry"]),
        ForeignTimeout = Milliseconds(settings, "foreign-timeout", 2000),
        CompleterInterval = Milliseconds(settings, "completer-interval", 1000),
        CompleterAfter = Milliseconds(settings, "completer-after", 5000),
    };

    static TimeSpan Milliseconds(IConfiguration settings, string name, int otherwise) =>
        TimeSpan.FromMilliseconds(settings.GetValue(name, otherwise));

    static Uri? Url(string? text) => text is null ? null : new Uri(text);
}
