using System.Buffers;

namespace Idempotency.Yarp.Policies;

/// <summary>The token of RFC 9110, section 5.6.2: names of header fields and methods.</summary>
internal static class HttpToken
{
    private static readonly SearchValues<char> Characters =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    public static bool IsToken(string text) => text.Length > 0 && !text.AsSpan().ContainsAnyExcept(Characters);
}
