namespace Idempotency.Storage.Redis;

/// <summary>Writes the journal back to a server that may have lost it, as the owners would.</summary>
/// <param name="write">Writes one entry to a server, whether that takes claims or not.</param>
/// <param name="journal">What to write.</param>
/// <param name="logger">For the log.</param>
internal sealed class RedisPutBack(Func<WriteJournal.Entry, RedisNode, Task<WriteResult>> write, WriteJournal journal, ILogger logger)
{
    /// <summary>How many entries are written back at a time.</summary>
    private const int Batch = 256;

    /// <summary>Writes the journal of some buckets to a server that may have lost it. Every write compares tokens, so that repeating one is harmless.</summary>
    /// <returns>How many were missing, and the failure if some could not be written; to be repeated then.</returns>
    public async Task<(int Count, Exception? Failure)> RunAsync(RedisNode node)
    {
        Exception? failure = null;
        var count = 0;
        foreach (var batch in journal.Last().Where(entry => node.Lost.Contains(entry.Claim.Id.Bucket)).Chunk(Batch))
        {
            var results = await Task.WhenAll(batch.Select(TryPutBackAsync));
            count += results.Count(result => result == WriteResult.Recreated);
            foreach (var (entry, _) in batch.Zip(results).Where(pair => pair.Second == WriteResult.Foreign && pair.First.End != ClaimEnd.Release))
            {
                StoreLog.ClaimForeign(logger, entry.Claim.Id.Short);
            }

            if (failure is not null)
            {
                break;
            }
        }

        return (count, failure);

        // A claim that was released meanwhile is not put back, and is released again if it was on its way.
        async Task<WriteResult> TryPutBackAsync(WriteJournal.Entry read)
        {
            try
            {
                var entry = journal.IsOutdated(read, out var last) ? last : read;
                while (true)
                {
                    var result = await write(entry, node);
                    if (!journal.IsOutdated(entry, out last))
                    {
                        return result;
                    }

                    entry = last;
                }
            }
            catch (StoreUnavailableException e)
            {
                failure = e;
                return WriteResult.Unknown;
            }
        }
    }
}
