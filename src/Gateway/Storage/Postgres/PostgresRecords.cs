using System.Data;
using Npgsql;
using NpgsqlTypes;

namespace Gateway.Storage.Postgres;

/// <summary>
/// The statements on the table <c>idempotency_records</c>. Every write is one statement with its own commit: it compares the token or the
/// row's version, and announces the end of a watched claim.
/// </summary>
internal static class PostgresRecords
{
    /// <summary>What this release relies on.</summary>
    public const string AllColumns = "id, state, token, fingerprint, lease_until, expires_at, answer, response_code, attempt, probe, forgotten, watched, version";

    private const string Clock = "(SELECT clock_timestamp() AS now) AS clock";

    // Not an interval with days in it, whose length depends on the session's time zone.
    private const string Millisecond = "interval '1 millisecond'";

    private const string FindSql =
        $"""
        SELECT now, version, state, token, fingerprint, lease_until, expires_at, answer, attempt, forgotten
        FROM {Clock} LEFT JOIN idempotency_records ON id = $1
        """;

    private const string InsertSql =
        $"""
        INSERT INTO idempotency_records (id, state, token, fingerprint, lease_until, expires_at, probe)
        SELECT $1, 'claimed', $2, $3, now + $4 * {Millisecond}, now + $5 * {Millisecond}, $6 FROM {Clock} WHERE now <= $7
        ON CONFLICT (id) DO NOTHING
        """;

    private const string Announce = "SELECT CASE WHEN watched AND state <> 'claimed' THEN pg_notify('idempotency_changed', encode(id, 'hex')) END FROM done";

    // The usual end of a claim: still there, still the owner's.
    private const string EndOwnSql =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET state = $3, answer = $4, probe = CASE WHEN $3 = 'settled' THEN NULL ELSE probe END, version = version + 1
          WHERE id = $1 AND token = $2 AND state <> 'settled' AND NOT forgotten AND expires_at > clock_timestamp()
          RETURNING id, state, watched)
        {Announce}
        """;

    private const string ReleaseOwnSql =
        $"""
        WITH done AS (
          DELETE FROM idempotency_records
          WHERE id = $1 AND token = $2 AND state = 'claimed' AND attempt = 1 AND NOT forgotten AND expires_at > clock_timestamp()
          RETURNING id, 'absent' AS state, watched)
        {Announce}
        """;

    private const string RenewOwnSql =
        $"""
        UPDATE idempotency_records AS r SET lease_until = now + lease * {Millisecond}, expires_at = now + retention * {Millisecond}, version = version + 1
        FROM unnest($1, $2, $3, $4) AS own (id, token, lease, retention), {Clock}
        WHERE r.id = own.id AND r.token = own.token AND state = 'claimed' AND NOT forgotten AND expires_at > now AND now <= $5
        RETURNING r.token
        """;

    // By the version that was read; nothing happens when the row has changed since, or the call was given up.
    private const string PutSql =
        $"""
        WITH done AS (
          INSERT INTO idempotency_records AS r (id, state, token, lease_until, expires_at, answer, attempt, fingerprint, probe)
          SELECT $1, $4, $5, $6, $7, $8, $9, $10, $11 WHERE clock_timestamp() <= $3
          ON CONFLICT (id) DO UPDATE SET state = $4, token = $5, lease_until = $6, expires_at = $7, answer = $8, attempt = $9, fingerprint = $10,
            probe = $11, forgotten = false, version = r.version + 1
          WHERE r.version = $2
          RETURNING id, state, watched)
        {Announce}
        """;

    private const string UpdateSql =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET state = $4, token = $5, lease_until = $6, expires_at = $7, answer = $8, attempt = $9,
            probe = CASE WHEN $4 = 'settled' THEN NULL ELSE probe END, version = version + 1
          WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3
          RETURNING id, state, watched)
        {Announce}
        """;

    private const string DeleteSql =
        $"""
        WITH done AS (
          DELETE FROM idempotency_records WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3 RETURNING id, 'absent' AS state, watched)
        {Announce}
        """;

    private const string ForgetSql =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET forgotten = true, state = 'uncertain', lease_until = 'epoch', expires_at = $4, answer = NULL, probe = NULL,
            version = version + 1
          WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3
          RETURNING id, state, watched),
        told AS ({Announce})
        SELECT pg_notify('idempotency_forgotten', encode(id, 'hex')) FROM done LEFT JOIN told ON true
        """;

    private const string WatchSql = "UPDATE idempotency_records SET watched = true WHERE id = $1 AND version = $2 AND NOT watched";

    private const string FindUncertainSql =
        $"""
        SELECT now, id, fingerprint, attempt, probe, expires_at FROM idempotency_records, {Clock}
        WHERE probe IS NOT NULL AND id > $1 AND (state = 'uncertain' OR lease_until <= now) AND expires_at > now
        ORDER BY id LIMIT $2
        """;

    private const string SweepSql =
        """
        DELETE FROM idempotency_records WHERE id IN (
          SELECT id FROM idempotency_records WHERE expires_at <= clock_timestamp() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
        """;

    public static async Task<PostgresRow> FindAsync(NpgsqlConnection connection, RecordId id, CancellationToken cancellationToken)
    {
        await using var find = Command(connection, FindSql, Bytes(id));
        await using var row = await find.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        return await ReadAsync(row, cancellationToken);
    }

    /// <summary>Claims a key that is free, and reads what is on record then, in one round trip.</summary>
    public static async Task<PostgresRow> InsertAsync(NpgsqlConnection connection, ClaimRequest claim, long notAfter, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(BatchCommand(
            InsertSql, Bytes(claim.Id), Uuid(claim.Token), Bytes(claim.Fingerprint.ToArray()), Milliseconds(claim.Lease), Milliseconds(claim.Retention), Probe(claim), Time(notAfter)));
        batch.BatchCommands.Add(BatchCommand(FindSql, Bytes(claim.Id)));
        await using var row = await batch.ExecuteReaderAsync(CommandBehavior.SequentialAccess, cancellationToken);
        return await ReadAsync(row, cancellationToken);
    }

    /// <returns>False when the claim is not an open one of this owner.</returns>
    public static Task<bool> EndOwnAsync(
        NpgsqlConnection connection, ClaimRequest claim, RecordState state, ReadOnlyMemory<byte>? answer, CancellationToken cancellationToken) =>
        HasRowAsync(connection, EndOwnSql, cancellationToken, Bytes(claim.Id), Uuid(claim.Token), Text(state), Bytes(answer));

    /// <returns>False when the claim is not an open first attempt of this owner.</returns>
    public static Task<bool> ReleaseOwnAsync(NpgsqlConnection connection, ClaimRequest claim, CancellationToken cancellationToken) =>
        HasRowAsync(connection, ReleaseOwnSql, cancellationToken, Bytes(claim.Id), Uuid(claim.Token));

    /// <returns>The tokens of those that are open claims of their owner, and were renewed.</returns>
    public static async Task<HashSet<ClaimToken>> RenewOwnAsync(
        NpgsqlConnection connection, IEnumerable<ClaimRequest> claims, long notAfter, CancellationToken cancellationToken)
    {
        var sorted = claims.OrderBy(claim => claim.Id.ToString(), StringComparer.Ordinal).ToArray(); // two renewals lock in one order
        await using var renew = Command(
            connection,
            RenewOwnSql,
            new NpgsqlParameter<byte[][]> { TypedValue = [.. sorted.Select(claim => claim.Id.Digest.ToArray())] },
            new NpgsqlParameter<Guid[]> { TypedValue = [.. sorted.Select(claim => claim.Token.Value)] },
            new NpgsqlParameter<double[]> { TypedValue = [.. sorted.Select(claim => claim.Lease.TotalMilliseconds)] },
            new NpgsqlParameter<double[]> { TypedValue = [.. sorted.Select(claim => claim.Retention.TotalMilliseconds)] },
            Time(notAfter));
        await using var rows = await renew.ExecuteReaderAsync(cancellationToken);
        var renewed = new HashSet<ClaimToken>();
        while (await rows.ReadAsync(cancellationToken))
        {
            renewed.Add(new ClaimToken(rows.GetGuid(0)));
        }

        return renewed;
    }

    /// <summary>Does what <see cref="RecordRules"/> decided about the row that was read.</summary>
    /// <returns>False when the row has changed since, or <paramref name="notAfter"/> is over; nothing was written.</returns>
    public static Task<bool> WriteAsync(
        NpgsqlConnection connection, RecordWrite write, ClaimRequest claim, ReadOnlyMemory<byte>? answer, long version, long notAfter, CancellationToken cancellationToken)
    {
        NpgsqlParameter[] row = [Bytes(claim.Id), Long(version), Time(notAfter)];
        NpgsqlParameter[] state = [.. row, Text(write.State), Uuid(write.Token), Time(write.LeaseUntil), Time(write.ExpiresAt), Bytes(answer), Int(write.Attempt)];
        return write.Kind switch
        {
            RecordWriteKind.Put => HasRowAsync(
                connection, PutSql, cancellationToken, [.. state, Bytes(claim.Fingerprint.ToArray()), write.State == RecordState.Settled ? Bytes((ReadOnlyMemory<byte>?)null) : Probe(claim)]),
            RecordWriteKind.Update => HasRowAsync(connection, UpdateSql, cancellationToken, state),
            RecordWriteKind.Delete => HasRowAsync(connection, DeleteSql, cancellationToken, row),
            _ => Task.FromResult(true),
        };
    }

    /// <returns>As <see cref="WriteAsync"/>.</returns>
    public static Task<bool> ForgetAsync(NpgsqlConnection connection, RecordId id, long version, long notAfter, long expiresAt, CancellationToken cancellationToken) =>
        HasRowAsync(connection, ForgetSql, cancellationToken, Bytes(id), Long(version), Time(notAfter), Time(expiresAt));

    /// <summary>Has the end of this claim announced.</summary>
    /// <returns>False when the row has changed since it was read, or is watched already.</returns>
    public static async Task<bool> WatchAsync(NpgsqlConnection connection, RecordId id, long version, CancellationToken cancellationToken)
    {
        await using var watch = Command(connection, WatchSql, Bytes(id), Long(version));
        return await watch.ExecuteNonQueryAsync(cancellationToken) > 0;
    }

    /// <summary>The uncertain records with a probe that follow <paramref name="after"/>, in the order of their ids.</summary>
    public static async Task<IReadOnlyList<UncertainRecord>> FindUncertainAsync(NpgsqlConnection connection, RecordId after, int max, CancellationToken cancellationToken)
    {
        await using var find = Command(connection, FindUncertainSql, Bytes(after), Int(max));
        await using var row = await find.ExecuteReaderAsync(cancellationToken);
        var found = new List<UncertainRecord>();
        while (await row.ReadAsync(cancellationToken))
        {
            found.Add(new UncertainRecord(
                new RecordId(Digest.From(row.GetFieldValue<byte[]>(1))),
                Fingerprint.From(row.GetFieldValue<byte[]>(2)),
                row.GetInt32(3),
                row.GetFieldValue<byte[]>(4),
                row.GetDateTime(5) - row.GetDateTime(0)));
        }

        return found;
    }

    /// <summary>Deletes up to <paramref name="limit"/> records whose retention is over; returns how many.</summary>
    public static async Task<int> SweepAsync(NpgsqlConnection connection, int limit, CancellationToken cancellationToken)
    {
        await using var sweep = Command(connection, SweepSql, Int(limit));
        return await sweep.ExecuteNonQueryAsync(cancellationToken);
    }

    private static async Task<PostgresRow> ReadAsync(NpgsqlDataReader row, CancellationToken cancellationToken)
    {
        await row.ReadAsync(cancellationToken);
        var now = ToMilliseconds(row.GetDateTime(0));
        if (await row.IsDBNullAsync(1, cancellationToken))
        {
            return new PostgresRow(null, 0, now);
        }

        var version = row.GetInt64(1);
        var record = new StoredRecord(
            row.GetString(2) switch { "claimed" => RecordState.Claimed, "uncertain" => RecordState.Uncertain, _ => RecordState.Settled },
            new ClaimToken(row.GetGuid(3)),
            Fingerprint.From(row.GetFieldValue<byte[]>(4)),
            ToMilliseconds(row.GetDateTime(5)),
            ToMilliseconds(row.GetDateTime(6)),
            await row.IsDBNullAsync(7, cancellationToken) ? default : row.GetFieldValue<byte[]>(7),
            row.GetInt32(8),
            row.GetBoolean(9));
        return new PostgresRow(record.ExpiresAt > now ? record : null, version, now);
    }

    private static async Task<bool> HasRowAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params NpgsqlParameter[] parameters)
    {
        await using var command = Command(connection, sql, parameters);
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken);
    }

#pragma warning disable CA2100 // constants of this file
    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlCommand(sql, connection);
        foreach (var parameter in parameters)
        {
            command.Parameters.Add(parameter);
        }

        return command;
    }

    private static NpgsqlBatchCommand BatchCommand(string sql, params ReadOnlySpan<NpgsqlParameter> parameters)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var parameter in parameters)
        {
            command.Parameters.Add(parameter);
        }

        return command;
    }
#pragma warning restore CA2100

    private static NpgsqlParameter<byte[]> Bytes(RecordId id) => new() { TypedValue = id.Digest.ToArray() };

    private static NpgsqlParameter<byte[]> Bytes(byte[] value) => new() { TypedValue = value };

    private static NpgsqlParameter Bytes(ReadOnlyMemory<byte>? value) => new() { Value = value is { } bytes ? bytes : DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bytea };

    private static NpgsqlParameter Probe(in ClaimRequest claim) => Bytes(claim.Probe.IsEmpty ? default(ReadOnlyMemory<byte>?) : claim.Probe);

    private static NpgsqlParameter<Guid> Uuid(ClaimToken token) => new() { TypedValue = token.Value };

    private static NpgsqlParameter<double> Milliseconds(TimeSpan value) => new() { TypedValue = value.TotalMilliseconds };

    private static NpgsqlParameter<long> Long(long value) => new() { TypedValue = value };

    private static NpgsqlParameter<int> Int(int value) => new() { TypedValue = value };

    private static NpgsqlParameter<DateTime> Time(long milliseconds) => new() { TypedValue = DateTime.UnixEpoch.AddMilliseconds(milliseconds) };

    private static NpgsqlParameter<string> Text(RecordState state) =>
        new() { TypedValue = state switch { RecordState.Claimed => "claimed", RecordState.Uncertain => "uncertain", _ => "settled" } };

    private static long ToMilliseconds(DateTime time) => (time.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond;
}
