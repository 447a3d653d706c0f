using System.Security.Cryptography;
using System.Text;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// A Lua file, with what the files share (record.lua), and its SHA-1, so that only its hash travels. A server that does not know the hash
/// answers NOSCRIPT and has executed nothing.
/// </summary>
internal sealed class RedisScript
{
    private readonly string _text;
    private readonly byte[] _hash;

    public RedisScript(string file)
        : this(file, Read(file))
    {
    }

    private RedisScript(string name, string text)
    {
        Name = name;
        _text = text;
#pragma warning disable CA5350 // Redis names scripts by SHA-1; nothing is protected by it
        _hash = SHA1.HashData(Encoding.UTF8.GetBytes(_text));
#pragma warning restore CA5350
    }

    /// <summary>The file.</summary>
    public string Name { get; }

    /// <summary>The same script under another hash, known only where it was loaded (<see cref="RedisFence"/>).</summary>
    public RedisScript For(string identity) => new(Name, $"{_text}-- {identity}\n");

    /// <summary>Hands the text to a server.</summary>
    public Task LoadAsync(IServer server) => server.ScriptLoadAsync(_text);

    /// <summary>Runs on the server that has the keys, if that knows the script.</summary>
    /// <exception cref="RedisServerException">NOSCRIPT: it does not, and nothing was executed.</exception>
    public Task<RedisResult> RunAsync(IDatabase database, RedisKey[] keys, RedisValue[] arguments, CommandFlags flags) =>
        database.ScriptEvaluateAsync(_hash, keys, arguments, flags);

    /// <summary>As <see cref="RunAsync"/>, with the text. Not for claims: the server may not have been looked at.</summary>
    public Task<RedisResult> RunTextAsync(IDatabase database, RedisKey[] keys, RedisValue[] arguments, CommandFlags flags) =>
        database.ExecuteAsync("EVAL", Parameters(_text, keys, arguments), flags);

    /// <summary>Runs on this server, or where it says that the key is now.</summary>
    public Task<RedisResult> RunOnAsync(IServer server, RedisKey key, params RedisValue[] arguments) =>
        server.ExecuteAsync(server.Multiplexer.GetDatabase().Database, "EVALSHA", Parameters(Convert.ToHexStringLower(_hash), [key], arguments));

    private static List<object> Parameters(string script, RedisKey[] keys, RedisValue[] arguments) =>
        [script, keys.Length, .. keys.Select(key => (object)key), .. arguments.Select(argument => (object)argument)];

    private static string Read(string file) =>
        EmbeddedResource.Read(typeof(RedisScript), file).Replace("--- record.lua\n", EmbeddedResource.Read(typeof(RedisScript), "record.lua"), StringComparison.Ordinal);
}
