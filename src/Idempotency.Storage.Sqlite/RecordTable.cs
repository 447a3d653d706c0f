using SQLitePCL;

namespace Idempotency.Storage.Sqlite;

/// <summary>
/// The table <c>records</c>, by prepared statements; <see cref="RecordRules"/> decides what is written. Not thread safe; the one
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
            INSERT OR REPLACE INTO records (id, state, token, lease_until, expires_at, answer, attempt, fingerprint, probe)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            """);
        _update = new(
            database,
            """
            UPDATE records SET state = ?2, token = ?3, lease_until = ?4, expires_at = ?5, answer = ?6, attempt = ?7, probe = iif(?2 = 3, NULL, probe)
            WHERE rowid = ?1
            """);
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
        var row = FindRow(claim.Id, now);
        var (result, write) = RecordRules.Claim(row?.Record, claim, now);
        Write(write, claim, row, answer: null);
        return result;
    }

    /// <summary>What is on record; null when nothing is.</summary>
    public ClaimResult? Find(RecordId id, long now) => FindRow(id, now) is { Record: { IsForgotten: false } record } ? record.ToResult(now) : null;

    public WriteResult Settle(in ClaimRequest claim, ReadOnlyMemory<byte> answer, long now) => End(claim, RecordState.Settled, answer, now);

    public WriteResult MarkUncertain(in ClaimRequest claim, long now) => End(claim, RecordState.Uncertain, answer: null, now);

    public WriteResult Release(in ClaimRequest claim, long now)
    {
        var row = FindRow(claim.Id, now);
        var (result, write) = RecordRules.Release(row?.Record, claim, now);
        Write(write, claim, row, answer: null);
        return result;
    }

    public WriteResult Renew(in ClaimRequest claim, long now)
    {
        var row = FindRow(claim.Id, now);
        var (result, write) = RecordRules.Renew(row?.Record, claim, now);
        Write(write, claim, row, answer: null);
        return result;
    }

    /// <summary>Deletes a settled or uncertain record, and keeps its owner out until <paramref name="expiresAt"/>.</summary>
    public bool Forget(RecordId id, long now, long expiresAt)
    {
        var row = FindRow(id, now);
        if (!RecordRules.MayForget(row?.Record, now))
        {
            return false;
        }

        _forget.Bind(1, row!.Value.RowId).Bind(2, expiresAt).Run();
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
        foreach (var statement in (Statement[])[_begin, _commit, _rollback, _find, _put, _update, _forget, _findUncertain, _delete, _sweep, _addSecret, _getSecret])
        {
            statement.Dispose();
        }
    }

    private WriteResult End(in ClaimRequest claim, RecordState state, ReadOnlyMemory<byte>? answer, long now)
    {
        var row = FindRow(claim.Id, now);
        var (result, write) = RecordRules.End(row?.Record, claim, state, now);
        Write(write, claim, row, answer);
        return result;
    }

    private RecordRow? FindRow(RecordId id, long now)
    {
        try
        {
            return _find.Bind(1, id.Digest).Step() && RecordRow.Read(_find) is var row && row.Record.ExpiresAt > now ? row : null;
        }
        finally
        {
            _find.Reset();
        }
    }

    private void Write(in RecordWrite write, in ClaimRequest claim, in RecordRow? row, ReadOnlyMemory<byte>? answer)
    {
        switch (write.Kind)
        {
            case RecordWriteKind.Put:
                BindState(_put.Bind(1, claim.Id.Digest).Bind(8, claim.Fingerprint.ToArray()), write, answer);
                BindBytes(_put, 9, claim.Probe.IsEmpty || write.State == RecordState.Settled ? default(ReadOnlyMemory<byte>?) : claim.Probe).Run();
                break;
            case RecordWriteKind.Update:
                BindState(_update.Bind(1, row!.Value.RowId), write, answer).Run();
                break;
            case RecordWriteKind.Delete:
                _delete.Bind(1, row!.Value.RowId).Run();
                break;
        }
    }

    /// <summary>Parameters 2 to 7, the same of both statements.</summary>
    private static Statement BindState(Statement statement, in RecordWrite write, ReadOnlyMemory<byte>? answer)
    {
        Span<byte> token = stackalloc byte[ClaimToken.Size];
        write.Token.Value.TryWriteBytes(token, bigEndian: true, out _);
        statement.Bind(2, (int)write.State).Bind(3, token).Bind(4, write.LeaseUntil).Bind(5, write.ExpiresAt);
        return BindBytes(statement, 6, answer).Bind(7, write.Attempt);
    }

    private static Statement BindBytes(Statement statement, int parameter, ReadOnlyMemory<byte>? value) =>
        value is { } bytes ? statement.Bind(parameter, bytes.Span) : statement.BindNull(parameter);
}
