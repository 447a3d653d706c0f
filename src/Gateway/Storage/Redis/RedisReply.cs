using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>What the scripts return, as results of the store; the forms are drawn in the Lua files.</summary>
internal static class RedisReply
{
    /// <summary>The parts of a reply that begins with the caller's token; null for another request's reply.</summary>
    public static RedisResult[]? TryRead(RedisResult result, byte[] token)
    {
        try
        {
            return (RedisResult[]?)result is [var first, _, ..] reply && ((byte[]?)first).AsSpan().SequenceEqual(token) ? reply : null;
        }
        catch (InvalidCastException)
        {
            return null;
        }
    }

    /// <summary>The claim came after its time and had no effect.</summary>
    public static bool IsLate(RedisResult[] reply) => (string?)reply[1] == "late";

    public static ClaimResult ToClaimResult(in ClaimRequest claim, RedisResult[] reply)
    {
        var state = (string?)reply[1];
        if (state is "claimed")
        {
            return new ClaimResult(ClaimState.Claimed, claim.Fingerprint);
        }

        if (state is "late")
        {
            throw new StoreUnavailableException("Redis executed the claim too late");
        }

        try
        {
            var fingerprint = Fingerprint.From((byte[])reply[3]!);
            return state switch
            {
                "settled" => new ClaimResult(ClaimState.Settled, fingerprint, Answer: (byte[]?)reply[5] ?? []),
                "in-progress" => new ClaimResult(ClaimState.InProgress, fingerprint, TimeSpan.FromMilliseconds((long)reply[4])),
                "uncertain" => new ClaimResult(ClaimState.Uncertain, fingerprint),
                _ => throw new RecordFormatException($"its state is '{state}'"),
            };
        }
        catch (RecordFormatException e)
        {
            throw new StoreUnavailableException($"a record in Redis cannot be read: {e.Message}", e);
        }
    }

    public static WriteResult ToWriteResult(RedisResult[] reply) => (string?)reply[1] switch
    {
        "done" => WriteResult.Done,
        "recreated" => WriteResult.Recreated,
        "gone" => WriteResult.Gone,
        "foreign" => WriteResult.Foreign,
        "settled" => WriteResult.Settled,
        var other => throw new StoreUnavailableException($"Redis answered a write with '{other}'"),
    };
}
