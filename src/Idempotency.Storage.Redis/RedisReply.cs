using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

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

    /// <summary>The server may have lost writes since the caller looked at it, and the claim had no effect.</summary>
    public static bool IsOfAnotherEpoch(RedisResult[] reply) => (string?)reply[1] == "epoch";

    /// <summary>The claim was had.</summary>
    public static bool IsClaimed(RedisResult[] reply) => (string?)reply[1] == "claimed";

    /// <summary>Nothing is on record.</summary>
    public static bool IsAbsent(RedisResult[] reply) => (string?)reply[1] == "absent";

    /// <param name="reply">Of claim.lua or watch.lua.</param>
    /// <param name="own">The fingerprint of the caller, who may find the claim its own.</param>
    public static ClaimResult ToClaimResult(RedisResult[] reply, Fingerprint own = default)
    {
        var state = (string?)reply[1];
        if (state is "claimed")
        {
            return new ClaimResult(ClaimState.Claimed, own, Attempt: (int)reply[3]);
        }

        try
        {
            var attempt = (int)reply[3];
            var fingerprint = Fingerprint.From((byte[])reply[4]!);
            return state switch
            {
                "settled" => new ClaimResult(ClaimState.Settled, fingerprint, TimeSpan.FromMilliseconds((long)reply[5]), (byte[]?)reply[6] ?? [], attempt),
                "in-progress" => new ClaimResult(ClaimState.InProgress, fingerprint, TimeSpan.FromMilliseconds((long)reply[5]), Attempt: attempt),
                "uncertain" => new ClaimResult(ClaimState.Uncertain, fingerprint, Attempt: attempt, Age: TimeSpan.FromMilliseconds((long)reply[5])),
                _ => throw new RecordFormatException($"its state is '{state}'"),
            };
        }
        catch (RecordFormatException e)
        {
            throw Unreadable(e);
        }
    }

    /// <summary>The members of open.lua's reply that are ids.</summary>
    public static IReadOnlyList<RecordId> ToRecordIds(RedisResult[] reply)
    {
        var ids = new List<RecordId>();
        foreach (var member in (RedisResult[])reply[1]!)
        {
            if (RecordId.TryParse((string?)member, out var id))
            {
                ids.Add(id);
            }
        }

        return ids;
    }

    /// <summary>Null when it is not uncertain any more.</summary>
    public static UncertainRecord? ToUncertainRecord(RecordId id, RedisResult[] reply)
    {
        if ((string?)reply[1] != "uncertain")
        {
            return null;
        }

        try
        {
            return new UncertainRecord(
                id, Fingerprint.From((byte[])reply[4]!), (int)reply[3], (byte[])reply[6]!, TimeSpan.FromMilliseconds((long)reply[5]));
        }
        catch (RecordFormatException e)
        {
            throw Unreadable(e);
        }
    }

    public static bool ToIsForgotten(RedisResult[] reply) => (string?)reply[1] switch
    {
        "done" => true,
        "refused" => false,
        "late" => throw new StoreUnavailableException("Redis executed the deletion too late"),
        var other => throw new StoreUnavailableException($"Redis answered a deletion with '{other}'"),
    };

    public static WriteResult ToWriteResult(RedisResult[] reply) => (string?)reply[1] switch
    {
        "done" => WriteResult.Done,
        "recreated" => WriteResult.Recreated,
        "gone" => WriteResult.Gone,
        "foreign" => WriteResult.Foreign,
        "taken-over" => WriteResult.TakenOver,
        "settled" => WriteResult.Settled,
        var other => throw new StoreUnavailableException($"Redis answered a write with '{other}'"),
    };

    private static StoreUnavailableException Unreadable(RecordFormatException e) => new($"a record in Redis cannot be read: {e.Message}", e);
}
