using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// The scripts of one run of one server, which no other run of it and no other server knows: what they execute was executed there. A server
/// keeps its scripts in memory, and from Redis 7 on gives them neither to its replicas nor to its disk; so one that was restarted, or that took
/// another's place, answers NOSCRIPT, whatever the client has noticed by then. Older servers hand scripts on; there only the connection events
/// stand in for it.
/// </summary>
internal sealed class RedisFence
{
    private static readonly RedisScript ClaimScript = new("claim.lua");
    private static readonly RedisScript SettleScript = new("settle.lua");
    private static readonly RedisScript MarkScript = new("mark.lua");

    /// <param name="identity">Of the server's run, and of this process: what another process has put back is not what this one has.</param>
    public RedisFence(string identity)
    {
        Claim = ClaimScript.For(identity);
        Settle = SettleScript.For(identity);
        Mark = MarkScript.For(identity);
    }

    public RedisScript Claim { get; }

    public RedisScript Settle { get; }

    /// <summary>Writes something after what was written, so that waiting for the one is waiting for the other (<see cref="RedisReplicas"/>).</summary>
    public RedisScript Mark { get; }

    /// <summary>The waits for replicas of this run.</summary>
    public RedisRounds Rounds { get; } = new();

    /// <summary>Hands it to a server that was looked at.</summary>
    /// <param name="server">The server.</param>
    /// <param name="isAcknowledged">Whether replicas are waited for: else the server needs the claim alone.</param>
    public Task LoadAsync(IServer server, bool isAcknowledged) =>
        isAcknowledged ? Task.WhenAll(Claim.LoadAsync(server), Settle.LoadAsync(server), Mark.LoadAsync(server)) : Claim.LoadAsync(server);
}
