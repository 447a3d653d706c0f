using System.Globalization;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// When a key was made, for keys that tell: a key that is older than the retention may have been used and forgotten, and a retry with it
/// would run again.
/// </summary>
internal static class KeyExpiry
{
    private const string FirstSent = "Repeatability-First-Sent";
    private const string Crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    private const int UlidLength = 26;
    private const int UlidTimeLength = 10;

    public static bool IsExpired(IdempotencyPolicy policy, string key, IHeaderDictionary headers, DateTimeOffset now) =>
        policy.KeyTime.Count > 0 && TimeOf(policy.KeyTime, key, headers) is { } time && now - time > policy.Retention;

    /// <summary>By the first source that knows; null when none does.</summary>
    public static DateTimeOffset? TimeOf(IReadOnlyList<KeyTime> sources, string key, IHeaderDictionary headers)
    {
        foreach (var source in sources)
        {
            var time = source switch
            {
                KeyTime.UuidV7 => OfUuid(key),
                KeyTime.Ulid => OfUlid(key),
                _ => OfFirstSent(headers[FirstSent].ToString()),
            };
            if (time is not null)
            {
                return time;
            }
        }

        return null;
    }

    /// <summary>48 bits of Unix milliseconds, then version 7 (RFC 9562, section 5.7).</summary>
    private static DateTimeOffset? OfUuid(string key) =>
        Guid.TryParseExact(key, "D", out var uuid) && uuid.Version == 7
            ? FromMilliseconds(long.Parse(uuid.ToString("N").AsSpan(0, 12), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
            : null;

    /// <summary>48 bits of Unix milliseconds in the first ten characters of Crockford's base 32.</summary>
    private static DateTimeOffset? OfUlid(string key)
    {
        if (key.Length != UlidLength || key[0] > '7') // more than 48 bits
        {
            return null;
        }

        var milliseconds = 0L;
        for (var i = 0; i < UlidLength; i++)
        {
            var digit = Crockford.IndexOf(char.ToUpperInvariant(key[i]), StringComparison.Ordinal);
            if (digit < 0)
            {
                return null;
            }

            milliseconds = i < UlidTimeLength ? (milliseconds << 5) | (uint)digit : milliseconds;
        }

        return FromMilliseconds(milliseconds);
    }

    /// <summary>An HTTP date (OASIS Repeatable Requests 1.0, section 3.2).</summary>
    private static DateTimeOffset? OfFirstSent(string text) =>
        DateTimeOffset.TryParseExact(text, "r", CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out var time) ? time : null;

    private static DateTimeOffset? FromMilliseconds(long milliseconds) =>
        milliseconds <= DateTimeOffset.MaxValue.ToUnixTimeMilliseconds() ? DateTimeOffset.FromUnixTimeMilliseconds(milliseconds) : null;
}
