using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>Puts the server's error codes into words for the log. None of them executed anything, and none ever means "absent".</summary>
internal static class RedisErrors
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
                    return $"{code}, {meaning}";
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

        // The client appends its counters, after a semicolon.
        return e.Message.Split(';')[0];
    }

    /// <summary>The server is not the one that has, or may write, the key: its role or its slots changed.</summary>
    public static bool IsAboutPlace(Exception e) =>
        (e is RedisServerException && (HasCode(e, "READONLY") || e.Message.Contains("has MOVED", StringComparison.Ordinal))) || IsRedirect(e);

    /// <summary>The slot is being moved, and a part of what the call names is here and a part there, or all of it is there.</summary>
    public static bool IsBetween(Exception? e) => e is not null && (IsRedirect(e) || HasCode(e, "TRYAGAIN"));

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
}
