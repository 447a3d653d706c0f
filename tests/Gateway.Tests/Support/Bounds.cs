namespace Gateway.Tests.Support;

/// <summary>How long the support waits for something that is sure to come. Reached only when a test is about to fail.</summary>
internal static class Bounds
{
    /// <summary>Generous, because continuous integration shares its cores; no passing test ever waits this long.</summary>
    public static readonly TimeSpan Wait = TimeSpan.FromSeconds(30);
}
