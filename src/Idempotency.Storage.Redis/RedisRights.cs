namespace Idempotency.Storage.Redis;

/// <summary>
/// Finds out which commands the user may not run, by running each without effect. docs/operations.md lists them all as one ACL rule; a test
/// holds the two together.
/// </summary>
internal static class RedisRights
{
    /// <summary>
    /// What the scripts and the look at the servers call. Redis looks at the rights first, and then finds nothing to change: the key does not
    /// exist, and HSET lacks a value. What SETNX sets is gone before anybody sees it.
    /// </summary>
    private const string InScripts = """
        local missing = {}
        local function try(name, ...)
          local reply = redis.pcall(name, ...)
          if type(reply) == 'table' and reply.err then
            local text = string.lower(reply.err)
            if string.find(text, 'permission', 1, true) or string.find(text, "can't run", 1, true) then
              missing[#missing + 1] = name
            end
          end
        end
        local key = KEYS[1]
        try('TIME')
        try('HGET', key, 'f')
        try('HMGET', key, 'f')
        try('HEXISTS', key, 'f')
        try('PTTL', key)
        try('ZRANGEBYSCORE', key, 0, 0)
        try('HSET', key, 'f', 'v', 'odd')
        try('HDEL', key, 'f')
        try('SETNX', key, '')
        try('DEL', key)
        try('PEXPIRE', key, 1)
        try('ZADD', key, 'XX', 0, 'm')
        try('ZREM', key, 'm')
        try('PUBLISH', ARGV[1], '')
        return missing
        """;

    /// <summary>Without these nothing works.</summary>
    /// <returns>The commands, or that the prefix's keys may not be used; empty when all is well.</returns>
    public static async Task<IReadOnlyList<string>> FindMissingAsync(RedisKnock knock, string keyPrefix, CancellationToken cancellationToken)
    {
        var key = $"{keyPrefix}{{rights}}";
        var missing = new List<string>();
        string[][] commands =
        [
            ["INFO", "server"], ["EXISTS", key], ["GET", key], ["SET", key, "", "XX"], ["SCRIPT", "LOAD", "return 1"], ["EVALSHA", new string('0', 40), "1", key], ["EVAL", "return 1", "1", key],
        ];
        foreach (var command in commands)
        {
            if (await IsDeniedAsync(knock, cancellationToken, command) is { } reason)
            {
                missing.Add(reason);
            }
        }

        if (missing.Count == 0 && await knock.AskAsync(cancellationToken, "EVAL", InScripts, "1", key, $"{keyPrefix}changed") is object?[] inScripts)
        {
            missing.AddRange(inScripts.OfType<string>());
        }

        return [.. missing.Distinct()];
    }

    /// <summary>Without these it works, and something is lost: a replaced server is noticed later, and those that wait are told later.</summary>
    public static async Task<IReadOnlyList<string>> FindAdvisableAsync(RedisKnock knock, string keyPrefix, CancellationToken cancellationToken)
    {
        var missing = new List<string>();
        string[][] commands = [["ROLE"], ["WAIT", "0", "1"], ["SUBSCRIBE", $"{keyPrefix}changed"]]; // the last: nothing else may follow
        foreach (var command in commands)
        {
            if (await IsDeniedAsync(knock, cancellationToken, command) is { } reason)
            {
                missing.Add(reason);
            }
        }

        return missing;
    }

    private static async Task<string?> IsDeniedAsync(RedisKnock knock, CancellationToken cancellationToken, params string[] command)
    {
        if (await knock.AskAsync(cancellationToken, command) is not RedisReplyError { Text: var text } || !RedisErrors.IsCode(text, "NOPERM"))
        {
            return null;
        }

        // The command was let through where it is the key or the channel that is not.
        return text.Contains("channel", StringComparison.OrdinalIgnoreCase) ? "channels of the prefix"
            : text.Contains(" key", StringComparison.OrdinalIgnoreCase) && !text.Contains("' command", StringComparison.Ordinal) ? "keys of the prefix"
            : command[0] == "SCRIPT" ? "SCRIPT LOAD" : command[0];
    }
}
