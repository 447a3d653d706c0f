using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// One look at one master: whether it is the run that was known, and still has the epochs that were known. If so, its buckets take claims. If
/// not, it may have lost what it acknowledged:
/// <list type="number">
/// <item>New epochs are set, which closes its buckets to everybody who has not looked since.</item>
/// <item>Own last writes are put back, now and again when all others have had the time to do the same.</item>
/// <item>It is given the claim script with its new identity, and its buckets are opened.</item>
/// </list>
/// Every master is looked at for itself: none that is silent or emptied holds up the others.
/// </summary>
internal sealed class RedisLook(
    RedisKeys keys, RedisBuckets buckets, RedisMarksReader marksOf, RedisRecordSecret secret, IReadOnlyList<RedisScript> scripts, bool isAcknowledged, RedisPutBack putBack,
    string description, TimeSpan timeout, TimeProvider time, ILogger logger, CancellationToken stop)
{
    /// <summary>Twice the time in which every gateway notices: their watches run every second.</summary>
    private static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(2);

    private readonly Guid _process = Guid.NewGuid();
    private int _sample;

    /// <summary>Returns when the node's buckets are open, or were found to be open.</summary>
    /// <param name="node">The node.</param>
    /// <param name="multiplexer">The connection.</param>
    public async Task RunAsync(RedisNode node, IConnectionMultiplexer multiplexer)
    {
        var server = multiplexer.GetServer(node.EndPoint);
        while (true)
        {
            var doubts = node.Doubts;
            var facts = await ReadFactsAsync(server, isWhole: node.Identity is null);
            var isKnown = facts.Identity == node.Identity;
            if (!node.MustList && node.Lost.Count == 0 && isKnown && await IsAsKnownAsync(node, server))
            {
                if (TryOpenAgain(node, doubts))
                {
                    return;
                }

                continue;
            }

            node.MustList = false; // a doubt that comes up from here on is another
            if (!isKnown)
            {
                buckets.Close(node);
            }

            await MeetAsync(node, server, facts);
            var marks = await marksOf.ReadAllAsync(node, server, await ListAsync(server, multiplexer), facts.Identity);
            foreach (var lost in marks.Where(mark => buckets.EpochOf(mark.Bucket) is { } known && known != mark.Epoch))
            {
                node.Lost.Add(lost.Bucket);
                node.IsEmptied |= lost.IsOfEmpty;
            }

            if (node.Lost.Count > 0)
            {
                node.Obstacle = "the server was replaced or emptied; in quarantine";
                await PutBackAsync(node);
            }

            if (RestOfQuarantine(node, marks) is var rest && rest > TimeSpan.Zero)
            {
                // Also for who never was here before: others may have to put their writes back.
                node.Obstacle = node.Lost.Count > 0 ? node.Obstacle : "the store is new; others may still put their writes back";
                await Task.Delay(rest, time, stop);
                node.MustList = true;
                continue;
            }

            await secret.RequireAsync(multiplexer.GetDatabase(), marks.Select(mark => mark.Copy).Where(copy => copy.Length > 0));
            if (Array.Exists(marks, mark => !mark.Copy.AsSpan().SequenceEqual(secret.Value)))
            {
                node.MustList = true; // the next look leaves copies
                continue;
            }

            if (await FenceAsync(node, server, facts.Identity) is not { } fence || node.Doubts != doubts)
            {
                continue;
            }

            Confirm(node, facts.Identity, fence, marks);
            if (TryOpenAgain(node, doubts))
            {
                return;
            }
        }
    }

    /// <summary>
    /// The fence of a run, which the server is given when it does not have it. It is closed meanwhile: had it been replaced since it was looked
    /// at, another run would know the scripts.
    /// </summary>
    /// <returns>Null when it was replaced.</returns>
    private async Task<RedisFence?> FenceAsync(RedisNode node, IServer server, string identity)
    {
        if (node is { Fence: { } known, LacksFence: false } && node.Identity == identity)
        {
            return known;
        }

        node.LacksFence = false;
        buckets.Close(node);
        var fence = new RedisFence($"{identity} {_process:n}");
        await fence.LoadAsync(server, isAcknowledged).WaitAsync(timeout, time, stop);
        return (await ReadFactsAsync(server, isWhole: false)).Identity == identity ? fence : null;
    }

    /// <summary>What was lost is put back, what is new is known.</summary>
    private void Confirm(RedisNode node, string identity, RedisFence fence, RedisMarks[] marks)
    {
        if (node.Lost.Count > 0 && !node.IsLossReported)
        {
            StoreLog.StoreRestarted(logger, NameOf(node));
        }

        node.Lost.Clear();
        node.IsEmptied = false;
        node.IsLossReported = false;
        node.Identity = identity;
        node.Fence = fence;
        node.Buckets = [.. marks.Select(mark => mark.Bucket)];
        foreach (var mark in marks)
        {
            buckets.Open(new OpenBucket(mark.Bucket, node, fence, mark.Epoch));
        }
    }

    /// <summary>Opens what a doubt closed, under the epochs that are known.</summary>
    /// <returns>False when a doubt came up since: to be looked at again.</returns>
    private bool TryOpenAgain(RedisNode node, int doubts)
    {
        foreach (var bucket in node.Buckets)
        {
            if (buckets.Find(bucket) is null && buckets.NodeOf(bucket) == node && buckets.EpochOf(bucket) is { } epoch)
            {
                buckets.Open(new OpenBucket(bucket, node, node.Fence!, epoch));
            }
        }

        node.Obstacle = "the connection was lost; the server is being checked";
        if (node.Doubts == doubts)
        {
            return true;
        }

        buckets.Close(node);
        return false;
    }

    /// <summary>One bucket stands for all: what deletes everything deletes its epoch. Another one each time; claims compare their own.</summary>
    private async Task<bool> IsAsKnownAsync(RedisNode node, IServer server)
    {
        if (node.Buckets.Count == 0)
        {
            return server.ServerType != ServerType.Cluster || (await ListOwnAsync(server)).Count == 0; // a master without slots gets some without a word
        }

        var bucket = node.Buckets[(int)((uint)Interlocked.Increment(ref _sample) % (uint)node.Buckets.Count)];
        try
        {
            var marks = await marksOf.ReadAsync(node, server, bucket, node.Identity!);
            return marks.Epoch == buckets.EpochOf(bucket) && buckets.NodeOf(bucket) == node;
        }
        catch (RedisServerException e) when (RedisErrors.HasCode(e, "NOSCRIPT"))
        {
            return false; // SCRIPT FLUSH: the whole look hands the scripts over
        }
    }

    /// <summary>Tells the server's preflight and hands it the scripts, once for each of its runs.</summary>
    private async Task MeetAsync(RedisNode node, IServer server, RedisServerFacts facts)
    {
        await Task.WhenAll(scripts.Append(RedisMarksReader.Script).Select(script => script.LoadAsync(server))).WaitAsync(timeout, time, stop);
        if (facts.Identity != node.MetAs)
        {
            facts = await ReadFactsAsync(server, isWhole: true);
            node.MetAs = facts.Identity;
            foreach (var finding in RedisPreflight.Judge(facts))
            {
                StoreLog.Preflight(logger, $"Redis {server.EndPoint}", finding);
            }
        }
    }

    /// <exception cref="StoreUnavailableException">It does not say which run it is: a server that was replaced could not be told.</exception>
    private async Task<RedisServerFacts> ReadFactsAsync(IServer server, bool isWhole)
    {
        var info = isWhole
            ? await WithinAsync(server.InfoRawAsync())
            : $"{await WithinAsync(server.InfoRawAsync("server"))}\n{await WithinAsync(server.InfoRawAsync("replication"))}";
        var facts = RedisServerFacts.Parse(info ?? "");
        return facts.IsIdentified ? facts : throw new StoreUnavailableException("INFO tells neither run_id nor master_replid");
    }

    /// <summary>The buckets that this server serves: in a Cluster those of its slots, elsewhere all, if it is the one that is written to.</summary>
    private async Task<IReadOnlyList<int>> ListAsync(IServer server, IConnectionMultiplexer multiplexer)
    {
        if (server.ServerType == ServerType.Cluster)
        {
            var slots = await ListOwnAsync(server);
            return [.. Enumerable.Range(0, RecordId.Buckets).Where(bucket => multiplexer.HashSlot(keys.Marks(bucket)) is var slot && slots.Any(range => range.From <= slot && slot <= range.To))];
        }

        var written = await multiplexer.GetDatabase().IdentifyEndpointAsync(keys.Marks(0), CommandFlags.DemandMaster).WaitAsync(timeout, time, stop);
        return server.EndPoint.Equals(written) ? [.. Enumerable.Range(0, RecordId.Buckets)] : [];
    }

    private async Task<IList<SlotRange>> ListOwnAsync(IServer server) =>
        (await WithinAsync(server.ClusterNodesAsync()))?.Nodes.FirstOrDefault(node => node.IsMyself)?.Slots ?? [];

    /// <summary>What is left until everybody has put back what was lost when the youngest epoch was set.</summary>
    private TimeSpan RestOfQuarantine(RedisNode node, RedisMarks[] marks)
    {
        if (marks.Length == 0)
        {
            return TimeSpan.Zero;
        }

        // By the server's clock, or by ours since it was first seen: a clock that was set back must not make the wait any longer.
        var youngest = marks.MaxBy(mark => mark.SetAt);
        if (node.Youngest.Epoch != youngest.Epoch)
        {
            node.Youngest = (youngest.Epoch, time.GetTimestamp());
        }

        var (age, seen) = (TimeSpan.FromMilliseconds(node.Clock.Now - youngest.SetAt), time.GetElapsedTime(node.Youngest.SeenAt));
        return Quarantine - (age > seen ? age : seen);
    }

    /// <summary>An alarm only where something is seen to be missing.</summary>
    private async Task PutBackAsync(RedisNode node)
    {
        ReportLoss(node, node.IsEmptied);
        var (count, failure) = await putBack.RunAsync(node);
        node.PutBack += count;
        ReportLoss(node, node.PutBack > 0);
        if (failure is not null)
        {
            throw failure;
        }

        if (node.PutBack > 0)
        {
            StoreLog.PutBack(logger, NameOf(node), node.PutBack);
            node.PutBack = 0;
        }
    }

    private void ReportLoss(RedisNode node, bool isSeen)
    {
        if (isSeen && !node.IsLossReported)
        {
            node.IsLossReported = true;
            StoreLog.StoreReset(logger, NameOf(node));
        }
    }

    private string NameOf(RedisNode node) => $"{description}, server {node.EndPoint}";

    private Task<T> WithinAsync<T>(Task<T> call) => call.WaitAsync(timeout, time, stop);
}
