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

    /// <summary>Some have none, because those are the requests that HTTP clients like to repeat by themselves.</summary>
    private bool HasBody => Key[^1] is not ('0' or '3' or '6' or '9');

    public string Body(bool isChanged) =>
        HasBody || isChanged ? $$"""{"key":"{{Key}}","scope":"{{Scope}}","amount":{{(isChanged ? 2 : 1)}}}""" : "";

    public bool Equals(Operation? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => HashCode.Combine(Key, Scope);
}
