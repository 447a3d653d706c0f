using System.Data.Common;
using System.Globalization;
using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// What is wrong with a connection string, without repeating it. Npgsql's messages name the keyword, and after a password with a semicolon
/// the rest of the password is a keyword.
/// </summary>
internal static class PostgresMistakes
{
    /// <returns>What was expected; null when the string will do.</returns>
    public static string? Find(StoreSettings settings)
    {
        var given = settings.Postgres.ConnectionString;
        if (FindUnreadable(given) is { } unreadable)
        {
            return unreadable;
        }

        try
        {
            var read = PostgresPools.CreateString(settings);
            return read.Host!.Split(',', StringSplitOptions.TrimEntries).Any(host => SafeText.OfHost(host) != host) ? "Host is no host name, address or folder of a socket"
                : null;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or InvalidOperationException)
        {
            return SafeText.OfMessage(e.Message); // ours: every keyword and value was read before
        }
    }

    private static string? FindUnreadable(string given)
    {
        DbConnectionStringBuilder plain;
        try
        {
            plain = new DbConnectionStringBuilder { ConnectionString = given };
        }
        catch (ArgumentException)
        {
            return "keyword=value pairs, separated by ;, are needed, and a value with ; or = or quotes must be quoted; URLs are not understood";
        }

        var place = 0;
        foreach (string keyword in plain.Keys!)
        {
            place++;
            var known = new NpgsqlConnectionStringBuilder();
            try
            {
                known[keyword] = plain[keyword];
            }
            catch (Exception e) when (e is ArgumentException or FormatException or InvalidCastException or OverflowException)
            {
                return IsKnown(keyword)
                    ? $"the value of {CultureInfo.InvariantCulture.TextInfo.ToTitleCase(keyword)} is not understood"
                    : string.Create(CultureInfo.InvariantCulture, $"keyword {place} of {plain.Count} is not known; a value with ; must be quoted");
            }
        }

        return null;
    }

    private static bool IsKnown(string keyword)
    {
        try
        {
            _ = new NpgsqlConnectionStringBuilder()[keyword];
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}
