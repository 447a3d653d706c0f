using System.Security.Cryptography;
using System.Text;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// A Lua file, with what the files share (record.lua), and its SHA-1, so that only its hash travels; the server is handed the text when it
/// does not know it (NOSCRIPT).
/// </summary>
internal sealed class RedisScript
{
    private readonly string _text;
    private readonly byte[] _hash;

    public RedisScript(string file)
    {
        _text = EmbeddedResource.Read(file).Replace("--- record.lua\n", EmbeddedResource.Read("record.lua"), StringComparison.Ordinal);
        if (TestHooks.HasDefect("no-token-comparison"))
        {
            _text = _text.Replace("record[1] ~= 'x' and record[2] == ARGV[1]", "record[1] ~= 'x'", StringComparison.Ordinal)
                .Replace("record[2] ~= ARGV[1]", "not record[1]", StringComparison.Ordinal);
        }

        if (TestHooks.HasDefect("lease-expiry-is-permission"))
        {
            _text = _text.Replace("if not state then", "if not state or (state == 'c' and record[4] - now <= 0) then", StringComparison.Ordinal);
        }

#pragma warning disable CA5350 // Redis names scripts by SHA-1; nothing is protected by it
        _hash = SHA1.HashData(Encoding.UTF8.GetBytes(_text));
#pragma warning restore CA5350
    }

    /// <summary>Hands the text to a server, so that even a call whose reply is lost is executed.</summary>
    public Task LoadAsync(IServer server) => server.ScriptLoadAsync(_text);

    public async Task<RedisResult> RunAsync(IDatabase database, RedisKey[] keys, RedisValue[] arguments, CommandFlags flags)
    {
        try
        {
            return await database.ScriptEvaluateAsync(_hash, keys, arguments, flags);
        }
        catch (RedisServerException e) when (RedisErrors.HasCode(e, "NOSCRIPT"))
        {
            // A server that lost its scripts (restart, SCRIPT FLUSH) did not run anything: sending the text is no repetition.
            return await database.ScriptEvaluateAsync(_text, keys, arguments, flags);
        }
    }
}
