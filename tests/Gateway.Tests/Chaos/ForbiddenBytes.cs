using System.Buffers;

namespace Gateway.Tests.Chaos;

/// <summary>What must never be found outside of a request: keys and credentials, as clients sent them.</summary>
internal sealed class ForbiddenBytes(IEnumerable<Operation> operations)
{
    private readonly HashSet<string> _words = [.. operations.SelectMany(operation => new[] { operation.Key, operation.Scope })];
    private SearchValues<string>? _any;

    /// <param name="content">Text in which a character is a byte.</param>
    public IEnumerable<string> In(string content)
    {
        // All at once first: after a long run there are thousands of words and megabytes of text.
        _any ??= SearchValues.Create([.. _words], StringComparison.Ordinal);
        return content.AsSpan().ContainsAny(_any)
            ? _words.Where(word => content.Contains(word, StringComparison.Ordinal)).Select(word => $"\"{word}\"")
            : [];
    }
}
