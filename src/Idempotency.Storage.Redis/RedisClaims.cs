using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>Sends claims: only to the run of a server that was looked at, and all that a claim takes within one timeout.</summary>
internal sealed class RedisClaims(
    StoreSettings settings, string description, RedisConnection connection, RedisCalls calls, RedisAnnouncements forgotten, RedisReplicas? replicas, TimeProvider time)
{
    private static readonly RedisScript WatchScript = new("watch.lua");
    private static readonly TimeSpan Least = TimeSpan.FromMilliseconds(1);

    private readonly RedisKeys _keys = new(settings.Redis.KeyPrefix);

    /// <summary>
    /// Once, and once more where nothing was executed: the server's clock was ahead of the estimate, or the server is not the one that was
    /// looked at. All of it within one timeout.
    /// </summary>
    public async ValueTask<RedisResult[]> SendAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        var began = time.GetTimestamp();
        var bucket = connection.Open(claim.Id.Bucket);
        _ = forgotten.FollowAsync(connection.Database.Multiplexer);
        for (var isFirst = true; ; isFirst = false)
        {
            RedisResult[]? reply;
            try
            {
                reply = await calls.RunFencedAsync(bucket.Fence.Claim, _keys.OfClaim(claim), ArgumentsOf(claim, bucket, Left()), bucket, Left());
            }
            catch (StoreUnavailableException e) when (RedisErrors.IsBetween(e.InnerException))
            {
                // The slot is being moved. What is on record can be told all the same.
                if (await PeekAsync(claim.Id, bucket, cancellationToken) is { } onRecord)
                {
                    return onRecord;
                }

                throw;
            }

            var isElsewhere = reply is null || RedisReply.IsOfAnotherEpoch(reply);
            if (reply is not null && !RedisReply.IsLate(reply) && !isElsewhere)
            {
                bucket.Node.Clock.Set((long)reply[2]);
                if (replicas is not null && RedisReply.IsClaimed(reply))
                {
                    await replicas.RequireAsync(bucket, Left());
                }

                return reply;
            }

            if (!isElsewhere)
            {
                bucket.Node.Clock.Set((long)reply![2]);
            }

            if (!isFirst || time.GetElapsedTime(began) >= settings.Timeout)
            {
                throw new StoreUnavailableException(isElsewhere ? $"{description}: the server is being checked" : "Redis executed the claim too late");
            }

            bucket = isElsewhere ? await connection.ReopenAsync(bucket, lacksFence: reply is null, Left(), cancellationToken) : bucket;
        }

        TimeSpan Left()
        {
            var left = settings.Timeout - time.GetElapsedTime(began);
            return left > Least ? left : Least;
        }
    }

    /// <summary>What is on record, wherever it is, when it cannot be claimed; null when nothing is.</summary>
    private async ValueTask<RedisResult[]?> PeekAsync(RecordId id, OpenBucket bucket, CancellationToken cancellationToken)
    {
        var reply = await calls.RunAsync(WatchScript, _keys.Of(id), [ClaimToken.Create().ToArray(), ""], bucket, cancellationToken);
        return RedisReply.IsAbsent(reply) ? null : reply;
    }

    private static RedisValue[] ArgumentsOf(in ClaimRequest claim, OpenBucket bucket, TimeSpan left) =>
    [
        claim.Token.ToArray(), claim.Fingerprint.ToArray(), RedisArguments.Of(claim.Lease), RedisArguments.Of(claim.Retention), bucket.Node.NotAfter(left),
        claim.TakeOver, RedisArguments.Of(claim.Probe), bucket.Epoch,
    ];
}
