namespace Gateway.Tests.Faults;

/// <summary>One kind of request, and how the backend that took it ends without an answer.</summary>
/// <param name="Number">Its route, which is its alone, is named by it.</param>
internal sealed record SilentCase(int Number, string Version, string Method, string Body, bool IsReused, string Ending)
{
    public const string NoBody = "no body";
    public const string Expecting = "a body with Expect";

    private static readonly (string Version, string Ending)[] Endings =
    [
        ("1.1", "FIN"), ("1.1", "RST"),
        ("2", "FIN"), ("2", "RST"), ("2", "REFUSED_STREAM"), ("2", "GOAWAY"), ("2", "HTTP_1_1_REQUIRED"),
    ];

    public static IReadOnlyDictionary<string, SilentCase> All { get; } = (
        from end in Endings
        from method in (string[])["POST", "PUT", "PATCH", "DELETE"]
        from body in (string[])[NoBody, "a body", Expecting]
        from isReused in (bool[])[false, true]
        select (end, method, body, isReused))
        .Select((one, number) => new SilentCase(number, one.end.Version, one.method, one.body, one.isReused, one.end.Ending))
        .ToDictionary(one => one.Name);

    public string Route => $"/case-{Number}";

    /// <summary>Its last segment tells the backend what to do.</summary>
    public string Target => $"{Route}/{Ending}";

    private string Name => $"HTTP/{Version} {Method}, {Body}, {(IsReused ? "reused" : "fresh")} connection, {Ending}";
}
