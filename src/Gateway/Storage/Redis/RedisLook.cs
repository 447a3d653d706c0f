using System.Globalization;
using StackExchange.Redis;

namespace Gateway.Storage.Redis;

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
    RedisKeys keys, RedisBuckets buckets, RedisSecret secret, IReadOnlyList<RedisScript> scripts, bool isAcknowledged, RedisPutBack putBack,
    string description, TimeSpan timeout, TimeProvider time, ILogger logger, CancellationToken stop)
{
    /// <summary>Twice the time in which every gateway notices: their watches run every second.</summary>
    private static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(2);

    private static readonly RedisScript EpochScript = new("epoch.lua");

    private readonly Guid _process = Guid.NewGuid();
    private int _sample;

    /// <param name="Bucket">Whose.</param>
    /// <param name="Epoch">On record.</param>
    /// <param name="SetAt">When it was set, by the server's clock.</param>
    /// <param name="Copy">Of the secret; empty where there is none.</param>
    private readonly record struct Marks(int Bucket, string Epoch, long SetAt, byte[] Copy)
    {
        /// <summary>It was set where there was none.</summary>
        public bool IsOfEmpty => Epoch.Contains("-e-", StringComparison.Ordinal);
    }

    /// <summary>Returns when the node's buckets are open, or were found to be open.</summary>
    /// <param name="node">The node.</param>
    /// <param name="multiplexer">The connection.</param>
    /// <param name="nodes">All that are known.</param>
    public async Task RunAsync(RedisNode node, IConnectionMultiplexer multiplexer, IReadOnlyCollection<RedisNode> nodes)
    {
        var server = multiplexer.GetServer(node.EndPoint);
        while (true)
        {
            var doubts = node.Doubts;
            var facts = await ReadFactsAsync(server, isWhole: node.Identity is null);
            if (!node.MustList && node.Lost.Count == 0 && facts.Identity == node.Identity && await IsAsKnownAsync(node, server))
            {
                if (TryOpenAgain(node, doubts))
                {
                    return;
                }

                continue;
            }

            node.MustList = false; // a doubt that comes up from here on is another
            var isReplaced = facts.Identity != node.Identity && (node.Identity is not null || !nodes.Any(other => other.Identity == facts.Identity));
            if (isReplaced)
            {
                buckets.Close(node);
            }

            await MeetAsync(node, server, facts);
            var marks = await ReadAllMarksAsync(node, server, await ListAsync(server, multiplexer), isReplaced);
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
                marks = await ReadAllMarksAsync(node, server, [.. marks.Select(mark => mark.Bucket)], mustChange: false); // leaves copies
            }

            var fence = new RedisFence($"{facts.Identity} {_process:n}");
            await fence.LoadAsync(server, isAcknowledged).WaitAsync(timeout, time, stop);

            // Had it been replaced meanwhile, another run would know the script.
            if ((await ReadFactsAsync(server, isWhole: false)).Identity != facts.Identity || node.Doubts != doubts)
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

    /// <summary>What was lost is put back, what is new is known.</summary>
    private void Confirm(RedisNode node, string identity, RedisFence fence, Marks[] marks)
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
        var marks = await ReadMarksAsync(node, server, bucket, mustChange: false);
        return marks.Epoch == buckets.EpochOf(bucket) && buckets.NodeOf(bucket) == node;
    }

    /// <summary>Tells the server's preflight and hands it the scripts, once for each of its runs.</summary>
    private async Task MeetAsync(RedisNode node, IServer server, RedisServerFacts facts)
    {
        await Task.WhenAll(scripts.Append(EpochScript).Select(script => script.LoadAsync(server))).WaitAsync(timeout, time, stop);
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

    /// <summary>Tells little where the user may not ask: then a replaced server is noticed by its missing script and its epochs only.</summary>
    private async Task<RedisServerFacts> ReadFactsAsync(IServer server, bool isWhole)
    {
        try
        {
            var info = isWhole
                ? await WithinAsync(server.InfoRawAsync())
                : $"{await WithinAsync(server.InfoRawAsync("server"))}\n{await WithinAsync(server.InfoRawAsync("replication"))}";
            return RedisServerFacts.Parse(info ?? "");
        }
        catch (RedisServerException e) when (RedisErrors.HasCode(e, "NOPERM"))
        {
            return RedisServerFacts.Parse($"redis_version:not told ({RedisErrors.Describe(e)})");
        }
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

    /// <summary>Those that can be read: a slot that is being moved keeps its buckets closed, and no others.</summary>
    private async Task<Marks[]> ReadAllMarksAsync(RedisNode node, IServer server, IReadOnlyList<int> listed, bool mustChange)
    {
        RedisServerException? refusal = null;
        var read = await Task.WhenAll(listed.Select(TryReadAsync));
        Marks[] marks = [.. read.OfType<Marks>()];
        node.MustList |= marks.Length < listed.Count;
        return marks.Length == 0 && refusal is not null ? throw refusal : marks;

        async Task<Marks?> TryReadAsync(int bucket)
        {
            try
            {
                return await ReadMarksAsync(node, server, bucket, mustChange);
            }
            catch (RedisServerException e)
            {
                refusal = e;
                return null;
            }
        }
    }

    private async Task<Marks> ReadMarksAsync(RedisNode node, IServer server, int bucket, bool mustChange)
    {
        var token = ClaimToken.Create().ToArray();
        var result = await WithinAsync(EpochScript.RunOnAsync(
            server, keys.Marks(bucket), token, buckets.EpochOf(bucket) ?? "", mustChange ? 1 : 0, Guid.NewGuid().ToString("n"), secret.Value ?? []));
        if (RedisReply.TryRead(result, token) is not [_, var epoch, var now, var copy]
            || !long.TryParse(((string)epoch!).Split('-')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var setAt))
        {
            throw new StoreUnavailableException($"{NameOf(node)} answered a look at a bucket with nonsense");
        }

        node.Clock.Set((long)now);
        return new Marks(bucket, (string)epoch!, setAt, (byte[])copy!);
    }

    /// <summary>What is left until everybody has put back what was lost when the youngest epoch was set.</summary>
    private static TimeSpan RestOfQuarantine(RedisNode node, Marks[] marks)
    {
        if (marks.Length == 0)
        {
            return TimeSpan.Zero;
        }

        // A clock that was set back since then must not make the wait any longer.
        var age = TimeSpan.FromMilliseconds(Math.Max(0, node.Clock.Now - marks.Max(mark => mark.SetAt)));
        return Quarantine - age;
    }

    /// <summary>An alarm only where something is seen to be missing.</summary>
    private async Task PutBackAsync(RedisNode node)
    {
        ReportLoss(node, node.IsEmptied);
        var (count, failure) = await putBack.RunAsync(node.Lost);
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
