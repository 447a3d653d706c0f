using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// Writes the journal to a server that may have lost it. What is missing altogether, which is nearly all, is written in batches; the rest, such
/// as a claim of which only the answer was lost, as its owner would.
/// </summary>
internal sealed class PostgresPutBack(
    IIdempotencyStore store, PostgresConnections connections, WriteJournal journal, TimeSpan timeout, TimeProvider time, ILogger logger)
{
    /// <summary>What one statement writes: far less than the timeout's worth.</summary>
    private const int MaxBatch = 500;

    private const int MaxBatchBytes = 4 * 1024 * 1024;

    /// <summary>How many writes of the other kind are under way; the owners need connections too.</summary>
    private const int MaxAtOnce = 8;

    private int _putBack; // of tries that failed half-way, too
    private bool _isRepeated;

    /// <summary>One at a time. Nothing is written twice, and nothing over what others wrote: it may be repeated.</summary>
    /// <returns>How many writes were missing.</returns>
    /// <exception cref="StoreUnavailableException">Some could not be written; to be repeated.</exception>
    public async Task<int> RunAsync()
    {
        try
        {
            foreach (var batch in Batches(journal.Last()))
            {
                await PutBackAsync(batch);
            }
        }
        catch (StoreUnavailableException)
        {
            _isRepeated = true;
            throw;
        }

        var putBack = _putBack;
        (_putBack, _isRepeated) = (0, false);
        if (putBack > 0)
        {
            StoreLog.PutBack(logger, store.Description, putBack);
        }

        return putBack;
    }

    private static IEnumerable<List<WriteJournal.Entry>> Batches(IReadOnlyList<WriteJournal.Entry> entries)
    {
        var batch = new List<WriteJournal.Entry>();
        var bytes = 0;
        foreach (var entry in entries)
        {
            batch.Add(entry);
            bytes += entry.Answer.Length + entry.Claim.Probe.Length;
            if (batch.Count == MaxBatch || bytes >= MaxBatchBytes)
            {
                yield return batch;
                (batch, bytes) = ([], 0);
            }
        }

        yield return batch;
    }

    private async Task PutBackAsync(List<WriteJournal.Entry> batch)
    {
        var rows = await RunAsync(connection => PostgresRecords.FindManyAsync(connection, batch.Select(entry => entry.Claim)));
        var (absent, others) = (new List<WriteJournal.Entry>(), new List<WriteJournal.Entry>());
        foreach (var (read, row) in batch.Zip(rows))
        {
            var entry = LastWord(read);
            if (row.Version == 0 && entry.End != ClaimEnd.Release)
            {
                absent.Add(entry);
            }
            else if (IsMissing(entry, row))
            {
                others.Add(entry);
            }
        }

        if (absent.Count > 0)
        {
            var notAfter = rows[0].Now + RecordRules.Milliseconds(timeout);
            var written = await RunAsync(connection => PostgresRecords.PutBackAsync(connection, absent, notAfter));
            _putBack += written.Count;

            // What has a row by now, and what ended otherwise while it was on its way: a claim that was released meanwhile is released again.
            others.AddRange(absent.Where(entry => !written.Contains(entry.Claim.Token) || journal.IsOutdated(entry, out _)).Select(LastWord));
        }

        foreach (var some in others.Chunk(MaxAtOnce))
        {
            await Task.WhenAll(some.Select(WriteAsync));
        }
    }

    /// <summary>Whether a record that is there, or need not be, lacks this write.</summary>
    private bool IsMissing(in WriteJournal.Entry entry, in PostgresRow row)
    {
        var (result, write) = entry.End switch
        {
            null => RecordRules.Renew(row.Record, entry.Claim, row.Now),
            ClaimEnd.Release => RecordRules.Release(row.Record, entry.Claim, row.Now),
            _ => RecordRules.End(row.Record, entry.Claim, entry.End == ClaimEnd.Settle ? RecordState.Settled : RecordState.Uncertain, row.Now),
        };
        if (result == WriteResult.Foreign && entry.End != ClaimEnd.Release)
        {
            StoreLog.ClaimForeign(logger, entry.Claim.Id.Short);
        }

        return entry.End switch
        {
            null => result == WriteResult.Recreated, // its owner renews it
            ClaimEnd.Release => write.Kind != RecordWriteKind.Nothing || (_isRepeated && row.Version == 0), // a write of ours may still come to light
            ClaimEnd.MarkUncertain => result == WriteResult.Recreated || (result == WriteResult.Done && row.Record is not { State: RecordState.Uncertain }),
            _ => write.Kind != RecordWriteKind.Nothing,
        };
    }

    /// <summary>As the owner would, and until the journal says nothing else any more.</summary>
    private async Task WriteAsync(WriteJournal.Entry entry)
    {
        while (true)
        {
            var result = entry.End is { } end
                ? await store.EndAsync(entry.Claim, end, entry.Answer)
                : (await store.RenewAsync([entry.Claim], CancellationToken.None))[0];
            if (result == WriteResult.Unknown)
            {
                throw new StoreUnavailableException($"{store.Description} gave no answer while a claim was put back");
            }

            if (result is WriteResult.Done or WriteResult.Recreated)
            {
                Interlocked.Increment(ref _putBack);
            }

            if (!journal.IsOutdated(entry, out var last))
            {
                return;
            }

            entry = last;
        }
    }

    private WriteJournal.Entry LastWord(WriteJournal.Entry entry) => journal.IsOutdated(entry, out var last) ? last : entry;

    private Task<T> RunAsync<T>(Func<NpgsqlConnection, Task<T>> call) =>
        connections.RunAsync(PostgresCallKind.Owner, (connection, _) => call(connection), time.GetTimestamp(), CancellationToken.None);
}
