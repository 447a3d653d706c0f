using Npgsql;
using NpgsqlTypes;

namespace Idempotency.Storage.Postgres;

/// <summary>Runs the statements of <see cref="PostgresSql"/>.</summary>
internal static class PostgresRecords
{
    /// <summary>Seconds: a connection that hangs when it is new, or while everybody waits for the tables, must not hang for ever.</summary>
    private const int IdentifyTimeout = 3;

    private static readonly RecordId LastId = new(new Digest(ulong.MaxValue, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue));

    public static async Task<PostgresRow> FindAsync(NpgsqlConnection connection, RecordId id)
    {
        await using var find = Command(connection, PostgresSql.Find, Bytes(id));
        await using var row = await find.ExecuteReaderAsync();
        return await ReadAsync(row);
    }

    /// <summary>Claims a key that is free, and reads what is on record then, in one round trip.</summary>
    public static async Task<(bool IsNew, PostgresRow Row)> InsertAsync(NpgsqlConnection connection, ClaimRequest claim, long notAfter)
    {
        await using var batch = new NpgsqlBatch(connection);
        batch.BatchCommands.Add(BatchCommand(
            PostgresSql.Insert, Bytes(claim.Id), Uuid(claim.Token), Bytes(claim.Fingerprint.ToArray()), Milliseconds(claim.Lease), Milliseconds(claim.Retention), Probe(claim), Time(notAfter)));
        batch.BatchCommands.Add(BatchCommand(PostgresSql.Find, Bytes(claim.Id)));
        await using var row = await batch.ExecuteReaderAsync();
        return (batch.BatchCommands[0].RecordsAffected == 1, await ReadAsync(row));
    }

    /// <returns>False when the claim is not an open one of this owner.</returns>
    public static Task<bool> EndOwnAsync(
        NpgsqlConnection connection, ClaimRequest claim, RecordState state, ReadOnlyMemory<byte>? answer) =>
        HasRowAsync(connection, PostgresSql.EndOwn, Bytes(claim.Id), Uuid(claim.Token), Text(state), Bytes(answer));

    /// <returns>False when the claim is not an open first attempt of this owner.</returns>
    public static Task<bool> ReleaseOwnAsync(NpgsqlConnection connection, ClaimRequest claim) =>
        HasRowAsync(connection, PostgresSql.ReleaseOwn, Bytes(claim.Id), Uuid(claim.Token));

    /// <returns>The tokens of those that are open claims of their owner, and were renewed.</returns>
    public static async Task<HashSet<ClaimToken>> RenewOwnAsync(
        NpgsqlConnection connection, IReadOnlyList<ClaimRequest> claims, long notAfter)
    {
        await using var renew = Command(
            connection,
            PostgresSql.RenewOwn,
            Ids(claims),
            Array(claims, claim => claim.Token.Value),
            Array(claims, claim => claim.Lease.TotalMilliseconds),
            Array(claims, claim => claim.Retention.TotalMilliseconds),
            Time(notAfter));
        return await ReadTokensAsync(renew);
    }

    /// <summary>Does what <see cref="RecordRules"/> decided about the row that was read.</summary>
    /// <returns>False when the row has changed since, or <paramref name="notAfter"/> is over; nothing was written.</returns>
    public static Task<bool> WriteAsync(
        NpgsqlConnection connection, RecordWrite write, ClaimRequest claim, ReadOnlyMemory<byte>? answer, long version, long notAfter)
    {
        NpgsqlParameter[] row = [Bytes(claim.Id), Long(version), Time(notAfter)];
        NpgsqlParameter[] state = [.. row, Text(write.State), Uuid(write.Token), Time(write.LeaseUntil), Time(write.ExpiresAt), Bytes(answer), Int(write.Attempt)];
        return write.Kind switch
        {
            RecordWriteKind.Put => HasRowAsync(
                connection, PostgresSql.Put, [.. state, Bytes(claim.Fingerprint.ToArray()), write.State == RecordState.Settled ? Bytes((ReadOnlyMemory<byte>?)null) : Probe(claim)]),
            RecordWriteKind.Update => HasRowAsync(connection, PostgresSql.Update, state),
            RecordWriteKind.Delete => HasRowAsync(connection, PostgresSql.Delete, row),
            _ => Task.FromResult(true),
        };
    }

    /// <returns>As <see cref="WriteAsync"/>.</returns>
    public static Task<bool> ForgetAsync(NpgsqlConnection connection, RecordId id, long version, long notAfter, long expiresAt) =>
        HasRowAsync(connection, PostgresSql.Forget, Bytes(id), Long(version), Time(notAfter), Time(expiresAt));

    /// <summary>Writes nothing new to a row that is as the caller wants it: what is acknowledged now includes what was not acknowledged then.</summary>
    /// <returns>False when the row has changed since it was read.</returns>
    public static async Task<bool> ConfirmAsync(NpgsqlConnection connection, RecordId id, long version)
    {
        await using var confirm = Command(connection, PostgresSql.Confirm, Bytes(id), Long(version));
        return await confirm.ExecuteNonQueryAsync() > 0;
    }

    /// <summary>Returns when nobody is writing the record of this claim: a write of it that was not acknowledged is done then, or never will be.</summary>
    public static async Task AwaitWritersAsync(NpgsqlConnection connection, ClaimRequest claim)
    {
        await using var wait = Command(connection, PostgresSql.AwaitWriters, Bytes(claim.Id), Uuid(claim.Token), Bytes(claim.Fingerprint.ToArray()));
        await wait.ExecuteNonQueryAsync();
    }

    /// <summary>Has the end of this claim announced.</summary>
    /// <returns>False when the row has changed since it was read, or is watched already.</returns>
    public static async Task<bool> WatchAsync(NpgsqlConnection connection, RecordId id, long version)
    {
        await using var watch = Command(connection, PostgresSql.Watch, Bytes(id), Long(version));
        return await watch.ExecuteNonQueryAsync() > 0;
    }

    /// <summary>The uncertain records with a probe that follow <paramref name="after"/>, in the order of their ids.</summary>
    public static async Task<IReadOnlyList<UncertainRecord>> FindUncertainAsync(NpgsqlConnection connection, RecordId after, int max)
    {
        await using var find = Command(connection, PostgresSql.FindUncertain, Bytes(after), Int(max));
        await using var row = await find.ExecuteReaderAsync();
        var found = new List<UncertainRecord>();
        while (await row.ReadAsync())
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

    /// <summary>The uncertain ones among the <paramref name="max"/> records that follow <paramref name="after"/>, in the order of their ids.</summary>
    /// <returns>Them, and the last of those records; null when there are fewer.</returns>
    public static async Task<(IReadOnlyList<UncertainMark> Found, RecordId? Last)> WalkUncertainAsync(NpgsqlConnection connection, RecordId after, int max)
    {
        await using var find = Command(connection, PostgresSql.WalkEnd, Bytes(after), Int(max - 1));
        RecordId? last = await find.ExecuteScalarAsync() is byte[] id ? new RecordId(Digest.From(id)) : null;
        await using var walk = Command(connection, PostgresSql.WalkUncertain, Bytes(after), Bytes(last ?? LastId));
        await using var row = await walk.ExecuteReaderAsync();
        var found = new List<UncertainMark>();
        while (await row.ReadAsync())
        {
            found.Add(new UncertainMark(
                new RecordId(Digest.From(row.GetFieldValue<byte[]>(1))), row.GetString(2) == ToText(RecordState.Uncertain), row.GetDateTime(0) - row.GetDateTime(3)));
        }

        return (found, last);
    }

    /// <summary>Deletes up to <paramref name="limit"/> records whose retention is over, unless another gateway is at it.</summary>
    /// <returns>How many were deleted.</returns>
    public static async Task<int> SweepAsync(NpgsqlConnection connection, int limit)
    {
        await using var sweep = Command(connection, PostgresSql.Sweep(limit));
        return (int)(long)(await sweep.ExecuteScalarAsync())!;
    }

    /// <summary>Who the server is.</summary>
    /// <param name="connection">To a primary.</param>
    /// <param name="young">How long ago it became the primary to be new.</param>
    public static async Task<PostgresIdentity> IdentifyAsync(NpgsqlConnection connection, TimeSpan young)
    {
        await using var identify = Command(connection, PostgresSql.Identify, Milliseconds(young));
        identify.CommandTimeout = IdentifyTimeout;
        await using var row = await identify.ExecuteReaderAsync();
        await row.ReadAsync();
        return new PostgresIdentity(row.GetInt64(0), row.GetString(1), row.GetInt64(2), row.GetInt64(3), row.GetBoolean(4));
    }

    /// <summary>What is on record of each of these claims' keys, in their order, without answers.</summary>
    public static async Task<IReadOnlyList<PostgresRow>> FindManyAsync(NpgsqlConnection connection, IEnumerable<ClaimRequest> claims)
    {
        await using var find = Command(connection, PostgresSql.FindMany, Ids(claims));
        await using var reader = await find.ExecuteReaderAsync();
        var rows = new List<PostgresRow>();
        while (await reader.ReadAsync())
        {
            rows.Add(Read(reader));
        }

        return rows;
    }

    /// <summary>Writes records that are not there.</summary>
    /// <returns>The tokens of those that were written; the others have a row by now.</returns>
    public static async Task<HashSet<ClaimToken>> PutBackAsync(NpgsqlConnection connection, IReadOnlyList<WriteJournal.Entry> lost, long notAfter)
    {
        await using var putBack = Command(
            connection,
            PostgresSql.PutBack,
            Ids(lost.Select(entry => entry.Claim)),
            Array(lost, entry => entry.Claim.Token.Value),
            Array(lost, entry => entry.Claim.Fingerprint.ToArray()),
            Array(lost, entry => entry.Claim.Lease.TotalMilliseconds),
            Array(lost, entry => entry.Claim.Retention.TotalMilliseconds),
            Array(lost, entry => ToText(entry.End switch { null => RecordState.Claimed, ClaimEnd.Settle => RecordState.Settled, _ => RecordState.Uncertain })),
            Array(lost, entry => entry.End == ClaimEnd.Settle ? entry.Answer.ToArray() : null),
            Array(lost, entry => entry.Claim.Attempt),
            Array(lost, entry => entry.End == ClaimEnd.Settle || entry.Claim.Probe.IsEmpty ? null : entry.Claim.Probe.ToArray()),
            Time(notAfter));
        return await ReadTokensAsync(putBack);
    }

    private static async Task<PostgresRow> ReadAsync(NpgsqlDataReader row)
    {
        await row.ReadAsync();
        return Read(row);
    }

    private static PostgresRow Read(NpgsqlDataReader row)
    {
        var now = ToMilliseconds(row.GetDateTime(0));
        if (row.IsDBNull(1))
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
            row.IsDBNull(7) ? default : row.GetFieldValue<byte[]>(7),
            row.GetInt32(8),
            row.GetBoolean(9));
        return new PostgresRow(record.ExpiresAt > now ? record : null, version, now);
    }

    private static async Task<bool> HasRowAsync(NpgsqlConnection connection, string sql, params NpgsqlParameter[] parameters)
    {
        await using var command = Command(connection, sql, parameters);
        await using var row = await command.ExecuteReaderAsync();
        return await row.ReadAsync();
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

    private static async Task<HashSet<ClaimToken>> ReadTokensAsync(NpgsqlCommand command)
    {
        await using var rows = await command.ExecuteReaderAsync();
        var tokens = new HashSet<ClaimToken>();
        while (await rows.ReadAsync())
        {
            tokens.Add(new ClaimToken(rows.GetGuid(0)));
        }

        return tokens;
    }

    private static NpgsqlParameter<byte[][]> Ids(IEnumerable<ClaimRequest> claims) => Array(claims, claim => claim.Id.Digest.ToArray());

    private static NpgsqlParameter<TValue[]> Array<T, TValue>(IEnumerable<T> items, Func<T, TValue> value) => new() { TypedValue = [.. items.Select(value)] };

    private static NpgsqlParameter<byte[]> Bytes(RecordId id) => new() { TypedValue = id.Digest.ToArray() };

    private static NpgsqlParameter<byte[]> Bytes(byte[] value) => new() { TypedValue = value };

    private static NpgsqlParameter Bytes(ReadOnlyMemory<byte>? value) => new() { Value = value is { } bytes ? bytes : DBNull.Value, NpgsqlDbType = NpgsqlDbType.Bytea };

    private static NpgsqlParameter Probe(in ClaimRequest claim) => Bytes(claim.Probe.IsEmpty ? default(ReadOnlyMemory<byte>?) : claim.Probe);

    private static NpgsqlParameter<Guid> Uuid(ClaimToken token) => new() { TypedValue = token.Value };

    private static NpgsqlParameter<double> Milliseconds(TimeSpan value) => new() { TypedValue = value.TotalMilliseconds };

    private static NpgsqlParameter<long> Long(long value) => new() { TypedValue = value };

    private static NpgsqlParameter<int> Int(int value) => new() { TypedValue = value };

    private static NpgsqlParameter<DateTime> Time(long milliseconds) => new() { TypedValue = DateTime.UnixEpoch.AddMilliseconds(milliseconds) };

    private static NpgsqlParameter<string> Text(RecordState state) => new() { TypedValue = ToText(state) };

    private static string ToText(RecordState state) => state switch { RecordState.Claimed => "claimed", RecordState.Uncertain => "uncertain", _ => "settled" };

    private static long ToMilliseconds(DateTime time) => (time.Ticks - DateTime.UnixEpoch.Ticks) / TimeSpan.TicksPerMillisecond;
}
