namespace Gateway.Tests.Chaos;

/// <summary>A GET through a gateway, which it must pass on whatever its store does.</summary>
/// <param name="Failure">Null when the backend's answer came.</param>
internal sealed record Passage(string Gateway, TimeSpan Sent, TimeSpan Ended, string? Failure)
{
    public override string ToString() => $"{Gateway}: {Failure} (sent {Sent.TotalSeconds:F3}, ended {Ended.TotalSeconds:F3})";
}
