using System.Collections.Concurrent;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Something that a client wants done once, and the history of its attempts. The same key under another scope is another operation.
/// </summary>
/// <param name="Key">The idempotency key.</param>
/// <param name="Scope">The credential.</param>
/// <param name="IsBrief">
/// Under a policy whose retention is so short that it ends, and the key is free again, while an owner of it sleeps.
/// </param>
internal sealed record Operation(string Key, string Scope, bool IsBrief = false)
{
    public const string LastingPath = "/orders";
    public const string BriefPath = "/brief";

    /// <summary>The shortest that a policy allows.</summary>
    public static readonly TimeSpan BriefRetention = TimeSpan.FromSeconds(2.5);

    public string Path => IsBrief ? BriefPath : LastingPath;

    /// <summary>In order of their ends.</summary>
    public ConcurrentQueue<Attempt> Attempts { get; init; } = new();

    /// <summary>The first attempt after everything was healed whose answer is final; null when none was.</summary>
    public Attempt? Final { get; set; }

    /// <summary>Some have none, because those are the requests that HTTP clients like to repeat by themselves.</summary>
    private bool HasBody => Key[^1] is not ('0' or '3' or '6' or '9');

    public string Body(bool isChanged) =>
        HasBody || isChanged ? $$"""{"key":"{{Key}}","scope":"{{Scope}}","amount":{{(isChanged ? 2 : 1)}}}""" : "";

    /// <summary>The same with fewer attempts.</summary>
    public Operation With(IEnumerable<Attempt> attempts) => this with { Attempts = new(attempts) };

    public bool Equals(Operation? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => HashCode.Combine(Key, Scope);
}
