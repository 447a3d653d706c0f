using SQLitePCL;

namespace Gateway.Storage.Embedded;

/// <summary>
/// The state machine of one key over the table <c>records</c>: prepared statements. Not thread safe; the one
/// <see cref="EmbeddedWriter"/> uses it between <see cref="Begin"/> and <see cref="Commit"/>, so that reading and then writing is one atomic step.
/// </summary>
internal sealed class RecordTable : IDisposable
{
    private readonly Statement _begin;
    private readonly Statement _commit;
    private readonly Statement _rollback;
    private readonly Statement _find;
    private readonly Statement _put;
    private readonly Statement _update;
    private readonly Statement _takeOver;
    private readonly Statement _forget;
    private readonly Statement _findUncertain;
    private readonly Statement _delete;
    private readonly Statement _sweep;
    private readonly Statement _addSecret;
    private readonly Statement _getSecret;
    private readonly sqlite3 _database;

    public RecordTable(sqlite3 database)
    {
        _database = database;
        _begin = new(database, "BEGIN IMMEDIATE");
        _commit = new(database, "COMMIT");
        _rollback = new(database, "ROLLBACK");
        _find = new(database, $"SELECT {RecordRow.Columns} FROM records WHERE id = ?1");
        _put = new(
            database,
            """
            INSERT OR REPLACE INTO records (id, state, token, fingerprint, lease_until, expires_at, answer, attempt, probe)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            """);
        _update = new(
            database,
            "UPDATE records SET state = ?2, lease_until = ?3, expires_at = ?4, answer = ?5, probe = iif(?2 = 3, NULL, probe) WHERE rowid = ?1");
        _takeOver = new(
            database, "UPDATE records SET state = 1, token = ?2, lease_until = ?3, expires_at = ?4, attempt = attempt + 1 WHERE rowid = ?1");
        _forget = new(
            database,
            "UPDATE records SET forgotten = 1, state = 2, lease_until = 0, expires_at = ?2, answer = NULL, probe = NULL WHERE rowid = ?1");
        _findUncertain = new(
            database,
            """
            SELECT id, fingerprint, attempt, probe, expires_at FROM records
            WHERE probe IS NOT NULL AND state <> 3 AND id > ?1 AND (state = 2 OR lease_until <= ?2) AND expires_at > ?2
            ORDER BY id LIMIT ?3
            """);
        _delete = new(database, "DELETE FROM records WHERE rowid = ?1");
        _sweep = new(
            database, "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)");
        _addSecret = new(database, "INSERT OR IGNORE INTO secrets (only, value) VALUES (1, ?1)");
        _getSecret = new(database, "SELECT value FROM secrets WHERE only = 1");
    }

    /// <summary>Takes the file's write lock at once, so that no later step of the transaction can fail on it.</summary>
    public void Begin() => _begin.Run();

    public void Commit() => _commit.Run();

    /// <summary>Ends a transaction that may or may not have begun.</summary>
    public void Rollback()
    {
        if (raw.sqlite3_get_autocommit(_database) == 0)
        {
            _rollback.Run();
        }
    }

    public ClaimResult Claim(in ClaimRequest claim, long now)
    {
        var existing = FindRow(claim.Id, now);
        if (existing is not { IsForgotten: false } row)
        {
            // A forgotten record's attempt goes on, so that no late owner of it is ahead of the new one.
            var fresh = claim with { Attempt = existing?.Attempt ?? 1 };
            Put(fresh, RecordRow.Claimed, now, answer: null);
            return new ClaimResult(ClaimState.Claimed, claim.Fingerprint, Attempt: fresh.Attempt);
        }

        var found = row.ToResult(now);
        if (row.State == RecordRow.Claimed && row.Token == claim.Token)
        {
            return new ClaimResult(ClaimState.Claimed, row.Fingerprint, Attempt: row.Attempt);
        }

        if (found.State != ClaimState.Uncertain || row.Attempt != claim.TakeOver || row.Fingerprint != claim.Fingerprint)
        {
            return found;
        }

        // The retention goes on, but the record must outlive its claim.
        var leaseUntil = now + Milliseconds(claim.Lease);
        _takeOver.Bind(1, row.RowId).Bind(2, claim.Token.ToArray()).Bind(3, leaseUntil).Bind(4, Math.Max(row.ExpiresAt, leaseUntil)).Run();
        return new ClaimResult(ClaimState.Claimed, row.Fingerprint, Attempt: row.Attempt + 1);
    }

    /// <summary>What is on record; null when nothing is.</summary>
    public ClaimResult? Find(RecordId id, long now) => FindRow(id, now) is { IsForgotten: false } row ? row.ToResult(now) : null;

    public WriteResult Settle(in ClaimRequest claim, ReadOnlyMemory<byte> answer, long now) => End(claim, RecordRow.Settled, answer, now);

    public WriteResult MarkUncertain(in ClaimRequest claim, long now) => End(claim, RecordRow.Uncertain, answer: null, now);

    public WriteResult Release(in ClaimRequest claim, long now)
    {
        if (FindOwn(claim, now, out var refusal) is not { } row)
        {
            return refusal ?? WriteResult.Gone;
        }

        if (row.State != RecordRow.Claimed)
        {
            return WriteResult.Settled;
        }

        if (row.Attempt == 1)
        {
            _delete.Bind(1, row.RowId).Run();
        }
        else
        {
            Update(row.RowId, RecordRow.Uncertain, row.LeaseUntil, row.ExpiresAt, answer: null);
        }

        return WriteResult.Done;
    }

    public WriteResult Renew(in ClaimRequest claim, long now)
    {
        if (FindOwn(claim, now, out var refusal) is not { } row)
        {
            return refusal ?? PutBack(claim, RecordRow.Claimed, now, answer: null);
        }

        if (row.State != RecordRow.Claimed)
        {
            return WriteResult.Settled;
        }

        Update(row.RowId, RecordRow.Claimed, now + Milliseconds(claim.Lease), now + Milliseconds(claim.Retention), answer: null);
        return WriteResult.Done;
    }

    /// <summary>Deletes a settled or uncertain record, and keeps its owner out until <paramref name="expiresAt"/>.</summary>
    public bool Forget(RecordId id, long now, long expiresAt)
    {
        if (FindRow(id, now) is not { IsForgotten: false } row || row.ToResult(now).State == ClaimState.InProgress)
        {
            return false;
        }

        _forget.Bind(1, row.RowId).Bind(2, expiresAt).Run();
        return true;
    }

    /// <summary>The uncertain records with a probe that follow <paramref name="after"/>, in the order of their ids.</summary>
    public IReadOnlyList<UncertainRecord> FindUncertain(RecordId after, int max, long now)
    {
        var found = new List<UncertainRecord>();
        try
        {
            _findUncertain.Bind(1, after.Digest).Bind(2, now).Bind(3, max);
            while (_findUncertain.Step())
            {
                found.Add(new UncertainRecord(
                    new RecordId(Digest.From(_findUncertain.GetBlob(0))),
                    Fingerprint.From(_findUncertain.GetBlob(1)),
                    (int)_findUncertain.GetInt64(2),
                    _findUncertain.GetBlob(3).ToArray(),
                    TimeSpan.FromMilliseconds(_findUncertain.GetInt64(4) - now)));
            }

            return found;
        }
        finally
        {
            _findUncertain.Reset();
        }
    }

    /// <summary>Deletes up to <paramref name="limit"/> records whose retention is over; returns how many.</summary>
    public int Sweep(long now, int limit)
    {
        _sweep.Bind(1, now).Bind(2, limit).Run();
        return raw.sqlite3_changes(_database);
    }

    public byte[] GetOrAddSecret(ReadOnlyMemory<byte> candidate)
    {
        _addSecret.Bind(1, candidate.Span).Run();
        _getSecret.Step();
        var secret = _getSecret.GetBlob(0).ToArray();
        _getSecret.Reset();
        return secret;
    }

    public void Dispose()
    {
        foreach (var statement in (Statement[])[_begin, _commit, _rollback, _find, _put, _update, _takeOver, _forget, _findUncertain, _delete, _sweep, _addSecret, _getSecret])
        {
            statement.Dispose();
        }
    }

    private WriteResult End(in ClaimRequest claim, int state, ReadOnlyMemory<byte>? answer, long now)
    {
        if (FindOwn(claim, now, out var refusal) is not { } row)
        {
            return refusal ?? PutBack(claim, state, now, answer);
        }

        if (row.State == RecordRow.Settled)
        {
            return state == RecordRow.Settled ? WriteResult.Done : WriteResult.Settled;
        }

        // The retention counts from the claim: settling does not move it.
        Update(row.RowId, state, row.LeaseUntil, row.ExpiresAt, answer);
        return WriteResult.Done;
    }

    /// <summary>
    /// The record, when it is the owner's. Null without a refusal when the store lost it, which includes a take-over that was lost; the
    /// owner may put it back.
    /// </summary>
    private RecordRow? FindOwn(in ClaimRequest claim, long now, out WriteResult? refusal)
    {
        refusal = null;
        if (FindRow(claim.Id, now) is not { } row)
        {
            return null;
        }

        var isOwn = row.Token == claim.Token;
        if (isOwn && !row.IsForgotten)
        {
            return row;
        }

        if (isOwn || row.Attempt > claim.Attempt)
        {
            refusal = WriteResult.TakenOver;
        }
        else if (!row.IsForgotten && (row.State == RecordRow.Settled || row.Attempt == claim.Attempt))
        {
            refusal = WriteResult.Foreign;
        }

        return null;
    }

    private RecordRow? FindRow(RecordId id, long now)
    {
        try
        {
            return _find.Bind(1, id.Digest).Step() && RecordRow.Read(_find) is var row && row.ExpiresAt > now ? row : null;
        }
        finally
        {
            _find.Reset();
        }
    }

    private WriteResult PutBack(in ClaimRequest claim, int state, long now, ReadOnlyMemory<byte>? answer)
    {
        Put(claim, state, now, answer);
        return WriteResult.Recreated;
    }

    private void Put(in ClaimRequest claim, int state, long now, ReadOnlyMemory<byte>? answer)
    {
        Span<byte> token = stackalloc byte[ClaimToken.Size];
        claim.Token.Value.TryWriteBytes(token, bigEndian: true, out _);
        _put.Bind(1, claim.Id.Digest)
            .Bind(2, state)
            .Bind(3, token)
            .Bind(4, claim.Fingerprint.ToArray())
            .Bind(5, now + Milliseconds(claim.Lease))
            .Bind(6, now + Milliseconds(claim.Retention));
        BindBytes(_put, 7, answer);
        _put.Bind(8, claim.Attempt);
        BindBytes(_put, 9, claim.Probe.IsEmpty || state == RecordRow.Settled ? default(ReadOnlyMemory<byte>?) : claim.Probe).Run();
    }

    private void Update(long rowId, int state, long leaseUntil, long expiresAt, ReadOnlyMemory<byte>? answer) =>
        BindBytes(_update.Bind(1, rowId).Bind(2, state).Bind(3, leaseUntil).Bind(4, expiresAt), 5, answer).Run();

    private static Statement BindBytes(Statement statement, int parameter, ReadOnlyMemory<byte>? value) =>
        value is { } bytes ? statement.Bind(parameter, bytes.Span) : statement.BindNull(parameter);

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;
}
