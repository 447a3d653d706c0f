using System.Collections.Concurrent;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Something that a client wants done once, and the history of its attempts. The same key under another scope is another operation.
/// </summary>
internal sealed record Operation(string Key, string Scope)
{
    /// <summary>In order of their ends.</summary>
    public ConcurrentQueue<Attempt> Attempts { get; } = new();

    /// <summary>The first attempt after everything was healed whose answer is final; null when none was.</summary>
    public Attempt? Final { get; set; }

    public string Body(bool isChanged) => $$"""{"key":"{{Key}}","scope":"{{Scope}}","amount":{{(isChanged ? 2 : 1)}}}""";

    public bool Equals(Operation? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => HashCode.Combine(Key, Scope);
}
