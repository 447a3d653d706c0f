using SQLitePCL;

namespace Gateway.Storage.Embedded;

/// <summary>
/// The state machine of one key over the table <c>records</c>: prepared statements. Not thread safe; the one
/// <see cref="EmbeddedWriter"/> uses it between <see cref="Begin"/> and <see cref="Commit"/>, so that reading and then writing is one atomic step.
/// </summary>
internal sealed class RecordTable : IDisposable
{
    private const int Claimed = 1;
    private const int Uncertain = 2;
    private const int Settled = 3;

    private readonly Statement _begin;
    private readonly Statement _commit;
    private readonly Statement _rollback;
    private readonly Statement _find;
    private readonly Statement _put;
    private readonly Statement _update;
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
        _find = new(database, "SELECT rowid, state, token, fingerprint, lease_until, expires_at, answer FROM records WHERE id = ?1");
        _put = new(
            database,
            "INSERT OR REPLACE INTO records (id, state, token, fingerprint, lease_until, expires_at, answer) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
        _update = new(database, "UPDATE records SET state = ?2, lease_until = ?3, expires_at = ?4, answer = ?5 WHERE rowid = ?1");
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
        if (!TryFind(claim.Id, now, out var row))
        {
            Put(claim, Claimed, now, answer: null);
            return new ClaimResult(ClaimState.Claimed, claim.Fingerprint);
        }

        return row.State switch
        {
            Settled => new ClaimResult(ClaimState.Settled, row.Fingerprint, Answer: row.Answer),
            Claimed when row.Token == claim.Token => new ClaimResult(ClaimState.Claimed, row.Fingerprint),
            Claimed when row.LeaseUntil > now => new ClaimResult(ClaimState.InProgress, row.Fingerprint, TimeSpan.FromMilliseconds(row.LeaseUntil - now)),
            _ => new ClaimResult(ClaimState.Uncertain, row.Fingerprint),
        };
    }

    public WriteResult Settle(in ClaimRequest claim, ReadOnlyMemory<byte> answer, long now) => End(claim, Settled, answer, now);

    public WriteResult MarkUncertain(in ClaimRequest claim, long now) => End(claim, Uncertain, answer: null, now);

    public WriteResult Release(in ClaimRequest claim, long now)
    {
        if (!TryFind(claim.Id, now, out var row))
        {
            return WriteResult.Gone;
        }

        if (row.Token != claim.Token)
        {
            return WriteResult.Foreign;
        }

        if (row.State != Claimed)
        {
            return WriteResult.Settled;
        }

        _delete.Bind(1, row.RowId).Run();
        return WriteResult.Done;
    }

    public WriteResult Renew(in ClaimRequest claim, long now)
    {
        if (!TryFind(claim.Id, now, out var row))
        {
            Put(claim, Claimed, now, answer: null);
            return WriteResult.Recreated;
        }

        if (row.Token != claim.Token)
        {
            return WriteResult.Foreign;
        }

        if (row.State != Claimed)
        {
            return WriteResult.Settled;
        }

        Update(row.RowId, Claimed, now + Milliseconds(claim.Lease), now + Milliseconds(claim.Retention), answer: null);
        return WriteResult.Done;
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
        foreach (var statement in (Statement[])[_begin, _commit, _rollback, _find, _put, _update, _delete, _sweep, _addSecret, _getSecret])
        {
            statement.Dispose();
        }
    }

    private WriteResult End(in ClaimRequest claim, int state, ReadOnlyMemory<byte>? answer, long now)
    {
        if (!TryFind(claim.Id, now, out var row))
        {
            Put(claim, state, now, answer);
            return WriteResult.Recreated;
        }

        if (row.Token != claim.Token)
        {
            return WriteResult.Foreign;
        }

        if (row.State == Settled)
        {
            return state == Settled ? WriteResult.Done : WriteResult.Settled;
        }

        // The retention counts from the claim: settling does not move it.
        Update(row.RowId, state, row.LeaseUntil, row.ExpiresAt, answer);
        return WriteResult.Done;
    }

    private bool TryFind(RecordId id, long now, out Row row)
    {
        try
        {
            var found = _find.Bind(1, id.Digest).Step() && _find.GetInt64(5) > now;
            row = found
                ? new Row(
                    _find.GetInt64(0),
                    (int)_find.GetInt64(1),
                    new ClaimToken(new Guid(_find.GetBlob(2), bigEndian: true)),
                    Fingerprint.From(_find.GetBlob(3)),
                    _find.GetInt64(4),
                    _find.GetInt64(5),
                    _find.GetBlob(6).ToArray())
                : default;
            return found;
        }
        finally
        {
            _find.Reset();
        }
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
        BindAnswer(_put, 7, answer).Run();
    }

    private void Update(long rowId, int state, long leaseUntil, long expiresAt, ReadOnlyMemory<byte>? answer) =>
        BindAnswer(_update.Bind(1, rowId).Bind(2, state).Bind(3, leaseUntil).Bind(4, expiresAt), 5, answer).Run();

    private static Statement BindAnswer(Statement statement, int parameter, ReadOnlyMemory<byte>? answer) =>
        answer is { } bytes ? statement.Bind(parameter, bytes.Span) : statement.BindNull(parameter);

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;

    private readonly record struct Row(
        long RowId, int State, ClaimToken Token, Fingerprint Fingerprint, long LeaseUntil, long ExpiresAt, byte[] Answer);
}
