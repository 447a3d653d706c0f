using System.Text.RegularExpressions;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Puts the server's error codes into words for the log. None of them executed anything, and none ever means "absent". What a server or the
/// client says besides is not repeated: it may quote what was sent, and with it a credential.
/// </summary>
internal static partial class RedisErrors
{
    private static readonly (string Code, string Meaning)[] Known =
    [
        ("OOM", "the server reached maxmemory"),
        ("LOADING", "the server is loading its data"),
        ("BUSY", "the server is busy with a script"),
        ("MISCONF", "the server refuses writes because it cannot save"),
        ("NOREPLICAS", "the server refuses writes because too few replicas follow"),
        ("READONLY", "the server became a replica"),
        ("CLUSTERDOWN", "the Cluster has no master for this slot"),
        ("TRYAGAIN", "the Cluster is moving this slot"),
        ("MASTERDOWN", "the replica lost its master"),
        ("NOAUTH", "the server asks for a password"),
        ("NOPERM", "the user may not run this command"),
        ("WRONGPASS", "the password is wrong"),
        ("WRONGTYPE", "something else is stored under this key"),
    ];

    /// <summary>The reason that the server gave, to the call or already to the connection; null when it said nothing.</summary>
    public static string? Refusal(Exception e)
    {
        for (var cause = e; cause is not null; cause = cause.InnerException)
        {
            foreach (var (code, meaning) in Known)
            {
                if (HasCode(cause, code) || IsConnectionRefused(cause, code))
                {
                    return Put(code, meaning, cause.Message);
                }
            }
        }

        return null;
    }

    public static string Describe(Exception e)
    {
        if (Refusal(e) is { } refusal)
        {
            return refusal;
        }

        if (IsRedirect(e))
        {
            return "MOVED or ASK, the Cluster is moving this slot";
        }

        return e switch
        {
            StoreUnavailableException => e.Message, // ours
            RedisServerException => DescribeReply(e.Message),
            RedisTimeoutException or TimeoutException => "no answer in time",
            RedisConnectionException { FailureType: var type } => $"the connection failed ({type})",
            _ => $"{e.GetType().Name}",
        };
    }

    /// <summary>The server is not the one that has, or may write, the key: its role or its slots changed.</summary>
    public static bool IsAboutPlace(Exception e) =>
        (e is RedisServerException && (HasCode(e, "READONLY") || e.Message.Contains("has MOVED", StringComparison.Ordinal))) || IsRedirect(e);

    /// <summary>The slot is being moved, and a part of what the call names is here and a part there, or all of it is there.</summary>
    public static bool IsBetween(Exception? e) => e is not null && (IsRedirect(e) || HasCode(e, "TRYAGAIN"));

    /// <summary>An error as the server sent it, in our words; of what is not known, only what comes before a quotation.</summary>
    public static string DescribeReply(string text)
    {
        foreach (var (code, meaning) in Known)
        {
            if (IsCode(text, code))
            {
                return Put(code, meaning, text);
            }
        }

        return Unquoted.Match(text).Value.TrimEnd(' ', ',', ':') is { Length: > 0 } start ? start : "the server answered with an error";
    }

    /// <summary>Whether an error as the server sent it has this code.</summary>
    public static bool IsCode(string text, string code) => text.StartsWith($"{code} ", StringComparison.Ordinal) || text == code;

    /// <summary>Whether this is the server's word, with this code; null is not.</summary>
    public static bool IsServerError(Exception? e, string code) => e is RedisServerException && HasCode(e, code);

    /// <summary>Whether the server's error has this code, alone or inside the error of a script.</summary>
    public static bool HasCode(Exception e, string code) =>
        e.Message.StartsWith($"{code} ", StringComparison.Ordinal) || e.Message.Contains($" -{code} ", StringComparison.Ordinal)
            || e.Message.StartsWith($"{code}:", StringComparison.Ordinal);

    /// <summary>What the client makes of MOVED and ASK where it may not follow them.</summary>
    private static bool IsRedirect(Exception e) =>
        e.Message.Contains("has MOVED", StringComparison.Ordinal)
            || e is RedisConnectionException { FailureType: ConnectionFailureType.UnableToConnect } && e.Message.Contains("not reachable at this point of time", StringComparison.Ordinal);

    /// <summary>What the client makes of an error while it connects.</summary>
    private static bool IsConnectionRefused(Exception e, string code) =>
        e.Message.StartsWith($"Error: {code} ", StringComparison.Ordinal)
            || (code == "LOADING" && e is RedisConnectionException { FailureType: ConnectionFailureType.Loading });

    /// <summary>Which command it is that the user may not run: the one thing of an error that is ours and not the caller's.</summary>
    private static string Put(string code, string meaning, string text) =>
        code == "NOPERM" && DeniedCommand.Match(text) is { Success: true } denied ? $"NOPERM, the user may not run {denied.Groups[1].Value.ToUpperInvariant().Replace('|', ' ')}"
        : code == "NOPERM" && text.Contains("channel", StringComparison.OrdinalIgnoreCase) ? "NOPERM, the user may not use this channel"
        : code == "NOPERM" && text.Contains("access", StringComparison.OrdinalIgnoreCase) ? "NOPERM, the user may not use this key"
        : $"{code}, {meaning}";

    [GeneratedRegex("'([a-z][a-z|_-]{1,40})' (?:sub)?command")]
    private static partial Regex DeniedCommand { get; }

    [GeneratedRegex("^[A-Za-z][^'\"`;]{0,100}")]
    private static partial Regex Unquoted { get; }
}
