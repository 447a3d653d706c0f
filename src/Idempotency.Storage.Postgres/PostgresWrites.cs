using Npgsql;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// The writes of owners: in the usual case one statement that compares the token; otherwise the row is read, <see cref="RecordRules"/>
/// decides, and one statement writes if the row is still as it was read. What was acknowledged is in the journal.
/// </summary>
internal sealed class PostgresWrites(PostgresConnections connections, WriteJournal journal, StoreClock clock, TimeSpan timeout, TimeProvider time)
{
    /// <summary>How many claims that need more than the usual statement are renewed at once; new claims need connections too.</summary>
    private const int MaxAtOnce = 8;

    /// <summary>Settles a claim or marks it uncertain, and remembers it once the server has acknowledged it.</summary>
    public async ValueTask<WriteResult> EndAsync(ClaimRequest claim, ClaimEnd end, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
    {
        var (state, bytes) = end == ClaimEnd.Settle ? (RecordState.Settled, answer) : (RecordState.Uncertain, default(ReadOnlyMemory<byte>?));
        WriteResult result;
        try
        {
            result = await WriteAsync(
                claim,
                bytes,
                connection => PostgresRecords.EndOwnAsync(connection, claim, state, bytes),
                row => RecordRules.End(row.Record, claim, state, row.Now),
                cancellationToken);
        }
        catch (StoreUnavailableException)
        {
            // Nobody works on it any more: put back as it is on record, its claim would begin another lease.
            journal.Add(claim, ClaimEnd.MarkUncertain);
            throw;
        }

        if (result is WriteResult.Done or WriteResult.Recreated)
        {
            journal.Add(claim, end, answer);
        }

        return result;
    }

    /// <inheritdoc cref="IIdempotencyStore.ReleaseAsync"/>
    public ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        // Remembered before it is sent. True whether it is acknowledged or not: from here on the key may be another's, and the claim must
        // not be put back. One that was taken over goes back to uncertain.
        journal.Add(claim, claim.Attempt > 1 ? ClaimEnd.MarkUncertain : ClaimEnd.Release);
        return WriteAsync(
            claim,
            answer: null,
            async connection =>
            {
                if (await PostgresRecords.ReleaseOwnAsync(connection, claim))
                {
                    return true;
                }

                // The claim may still wait for its commit: it must not come to light when its release is done.
                await PostgresRecords.AwaitWritersAsync(connection, claim);
                return false;
            },
            row => RecordRules.Release(row.Record, claim, row.Now),
            cancellationToken);
    }

    /// <inheritdoc cref="IIdempotencyStore.RenewAsync"/>
    public async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
    {
        // All in one statement; those that are not open claims of their owners any more one by one.
        var asked = time.GetTimestamp();
        var renewed = await connections.RunAsync(
            PostgresCallKind.Owner, (connection, _) => PostgresRecords.RenewOwnAsync(connection, claims, NotAfter(asked)), asked, cancellationToken);
        var results = new List<WriteResult>(claims.Count);
        foreach (var some in claims.Chunk(MaxAtOnce))
        {
            results.AddRange(await Task.WhenAll(some.Select(claim => renewed.Contains(claim.Token) ? Task.FromResult(WriteResult.Done) : TryRenewAsync(claim))));
        }

        foreach (var (claim, _) in claims.Zip(results).Where(pair => pair.Second is WriteResult.Done or WriteResult.Recreated))
        {
            journal.Add(claim, end: null);
        }

        return results;

        async Task<WriteResult> TryRenewAsync(ClaimRequest claim)
        {
            try
            {
                return await WriteAsync(claim, answer: null, _ => Task.FromResult(false), row => RecordRules.Renew(row.Record, claim, row.Now), cancellationToken);
            }
            catch (StoreUnavailableException)
            {
                return WriteResult.Unknown;
            }
        }
    }

    /// <summary>Writes what was decided. What is done already was done by an earlier try, and is acknowledged by a commit of its own.</summary>
    /// <returns>False when the row has changed since it was read.</returns>
    public Task<bool> ApplyAsync(
        NpgsqlConnection connection, RecordWrite write, ClaimRequest claim, ReadOnlyMemory<byte>? answer, PostgresRow row, bool isDone, long asked)
    {
        if (write.Kind != RecordWriteKind.Nothing)
        {
            return PostgresRecords.WriteAsync(connection, write, claim, answer, row.Version, NotAfter(asked));
        }

        return isDone ? PostgresRecords.ConfirmAsync(connection, claim.Id, row.Version) : Task.FromResult(true);
    }

    public async Task<PostgresRow> FindAsync(NpgsqlConnection connection, RecordId id)
    {
        var row = await PostgresRecords.FindAsync(connection, id);
        clock.Set(row.Now);
        return row;
    }

    /// <summary>The store time after which a call that began at <paramref name="asked"/> must not take effect: its caller has been told by then.</summary>
    public long NotAfter(long asked) => clock.Now + RecordRules.Milliseconds(timeout - time.GetElapsedTime(asked));

    /// <summary>An owner's write.</summary>
    /// <param name="claim">The claim.</param>
    /// <param name="answer">The answer, when settled.</param>
    /// <param name="tryUsual">The one statement that does it when all is as the owner left it; false when it is not.</param>
    /// <param name="decide">What to do with what is on record instead.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    private async ValueTask<WriteResult> WriteAsync(
        ClaimRequest claim,
        ReadOnlyMemory<byte>? answer,
        Func<NpgsqlConnection, Task<bool>> tryUsual,
        Func<PostgresRow, (WriteResult Result, RecordWrite Write)> decide,
        CancellationToken cancellationToken)
    {
        var asked = time.GetTimestamp();
        return await connections.RunAsync(
            PostgresCallKind.Owner,
            async (connection, bound) =>
            {
                if (await tryUsual(connection))
                {
                    return WriteResult.Done;
                }

                while (true)
                {
                    var row = await FindAsync(connection, claim.Id);
                    var (result, write) = decide(row);
                    if (await ApplyAsync(connection, write, claim, answer, row, isDone: result == WriteResult.Done, asked))
                    {
                        return result;
                    }

                    bound.ThrowIfCancellationRequested();
                }
            },
            asked,
            cancellationToken);
    }
}
