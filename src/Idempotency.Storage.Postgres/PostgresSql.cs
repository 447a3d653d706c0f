using System.Globalization;

namespace Idempotency.Storage.Postgres;

/// <summary>
/// The statements on the table <c>idempotency_records</c>. Every write is one statement with its own commit: it compares the token or the
/// row's version, and announces the end of a watched claim.
/// </summary>
internal static class PostgresSql
{
    /// <summary>What this release relies on.</summary>
    public const string AllColumns = "id, state, token, fingerprint, lease_until, expires_at, answer, response_code, attempt, probe, forgotten, watched, version";

    /// <summary>Where the gateway whose turn it was tells the others that the table was swept, with the table's number.</summary>
    public const string SweptChannel = "idempotency_swept";

    // Any number: the first half of the lock, of which the table's number is the second.
    private const string SweepLock = "1927319";

    private const string Clock = "(SELECT clock_timestamp() AS now) AS clock";

    // Not an interval with days in it, whose length depends on the session's time zone.
    private const string Millisecond = "interval '1 millisecond'";

    // Never the same twice: a row that was deleted and made anew is not taken for the one that was read.
    private const string NextVersion = "nextval('idempotency_version')";

    public const string Find =
        $"""
        SELECT now, version, state, token, fingerprint, lease_until, expires_at, answer, attempt, forgotten
        FROM {Clock} LEFT JOIN idempotency_records ON id = $1
        """;

    public const string Insert =
        $"""
        INSERT INTO idempotency_records (id, state, token, fingerprint, lease_until, expires_at, probe)
        SELECT $1, 'claimed', $2, $3, now + $4 * {Millisecond}, now + $5 * {Millisecond}, $6 FROM {Clock} WHERE now <= $7
        ON CONFLICT (id) DO NOTHING
        """;

    private const string Announce = "SELECT CASE WHEN watched AND state <> 'claimed' THEN pg_notify('idempotency_changed', encode(id, 'hex')) END FROM done";

    // The usual end of a claim: still there, still the owner's.
    public const string EndOwn =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET state = $3, answer = $4, probe = CASE WHEN $3 = 'settled' THEN NULL ELSE probe END,
            lease_until = CASE WHEN $3 = 'uncertain' THEN least(lease_until, clock_timestamp()) ELSE lease_until END, version = {NextVersion}
          WHERE id = $1 AND token = $2 AND state <> 'settled' AND NOT forgotten AND expires_at > clock_timestamp()
          RETURNING id, state, watched)
        {Announce}
        """;

    public const string ReleaseOwn =
        $"""
        WITH done AS (
          DELETE FROM idempotency_records
          WHERE id = $1 AND token = $2 AND state = 'claimed' AND attempt = 1 AND NOT forgotten AND expires_at > clock_timestamp()
          RETURNING id, 'absent' AS state, watched)
        {Announce}
        """;

    public const string RenewOwn =
        $"""
        UPDATE idempotency_records AS r SET lease_until = now + lease * {Millisecond}, expires_at = now + retention * {Millisecond}, version = {NextVersion}
        FROM unnest($1, $2, $3, $4) AS own (id, token, lease, retention), {Clock}
        WHERE r.id = own.id AND r.token = own.token AND state = 'claimed' AND NOT forgotten AND expires_at > now AND now <= $5
        RETURNING r.token
        """;

    // By the version that was read; nothing happens when the row has changed since, or the call was given up.
    public const string Put =
        $"""
        WITH done AS (
          INSERT INTO idempotency_records AS r (id, state, token, lease_until, expires_at, answer, attempt, fingerprint, probe)
          SELECT $1, $4, $5, $6, $7, $8, $9, $10, $11 WHERE clock_timestamp() <= $3
          ON CONFLICT (id) DO UPDATE SET state = $4, token = $5, lease_until = $6, expires_at = $7, answer = $8, attempt = $9, fingerprint = $10,
            probe = $11, forgotten = false, version = {NextVersion}
          WHERE r.version = $2
          RETURNING id, state, watched)
        {Announce}
        """;

    public const string Update =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET state = $4, token = $5, lease_until = $6, expires_at = $7, answer = $8, attempt = $9,
            probe = CASE WHEN $4 = 'settled' THEN NULL ELSE probe END, version = {NextVersion}
          WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3
          RETURNING id, state, watched)
        {Announce}
        """;

    public const string Delete =
        $"""
        WITH done AS (
          DELETE FROM idempotency_records WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3 RETURNING id, 'absent' AS state, watched)
        {Announce}
        """;

    public const string Forget =
        $"""
        WITH done AS (
          UPDATE idempotency_records SET forgotten = true, state = 'uncertain', lease_until = 'epoch', expires_at = $4, answer = NULL, probe = NULL,
            version = {NextVersion}
          WHERE id = $1 AND version = $2 AND clock_timestamp() <= $3
          RETURNING id, state, watched),
        told AS ({Announce})
        SELECT pg_notify('idempotency_forgotten', encode(id, 'hex')) FROM done LEFT JOIN told ON true
        """;

    // A commit that comes after another one of this row, so that where there is a synchronous standby it has both.
    public const string Confirm = $"UPDATE idempotency_records SET version = {NextVersion} WHERE id = $1 AND version = $2";

    // Waits for everybody who is writing this row, also for the first writer. What it leaves behind is over already.
    public const string AwaitWriters =
        """
        INSERT INTO idempotency_records AS r (id, state, token, fingerprint, lease_until, expires_at)
        VALUES ($1, 'uncertain', $2, $3, 'epoch', 'epoch')
        ON CONFLICT (id) DO UPDATE SET watched = r.watched
        """;

    public const string Watch = "UPDATE idempotency_records SET watched = true WHERE id = $1 AND version = $2 AND NOT watched";

    public const string FindUncertain =
        $"""
        SELECT now, id, fingerprint, attempt, probe, expires_at FROM idempotency_records, {Clock}
        WHERE probe IS NOT NULL AND id > $1 AND (state = 'uncertain' OR lease_until <= now) AND expires_at > now
        ORDER BY id LIMIT $2
        """;

    // Where a part of the walk ends: some records behind its beginning.
    public const string WalkEnd = "SELECT id FROM idempotency_records WHERE id > $1 ORDER BY id OFFSET $2 LIMIT 1";

    // By id, which is random: what is new lies anywhere, so that a round ends, and what is written stays where it is.
    public const string WalkUncertain =
        $"""
        SELECT now, id, state, lease_until FROM idempotency_records, {Clock}
        WHERE id > $1 AND id <= $2 AND NOT forgotten AND (state = 'uncertain' OR (state = 'claimed' AND lease_until <= now)) AND expires_at > now
        """;

    // For its owner's eyes: without the answer, which may be large.
    public const string FindMany =
        $"""
        SELECT now, version, state, token, fingerprint, lease_until, expires_at, NULL::bytea, attempt, forgotten
        FROM unnest($1) WITH ORDINALITY AS own (own_id, place) CROSS JOIN {Clock} LEFT JOIN idempotency_records ON id = own_id ORDER BY place
        """;

    // What the server has lost, as its owners know it. Whatever is there is left alone.
    public const string PutBack =
        $"""
        INSERT INTO idempotency_records (id, token, fingerprint, lease_until, expires_at, state, answer, attempt, probe)
        SELECT id, token, fingerprint, now + lease * {Millisecond}, now + retention * {Millisecond}, state, answer, attempt, probe
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) AS lost (id, token, fingerprint, lease, retention, state, answer, attempt, probe), {Clock}
        WHERE now <= $10
        ON CONFLICT (id) DO NOTHING
        RETURNING token
        """;

    // Who the server is. It became the primary just now when it has made no checkpoint as such yet, or its last one is as young.
    public const string Identify =
        $"""
        SELECT system_identifier, timeline, coalesce(to_regclass('idempotency_records')::oid::bigint, 0), pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint,
          timeline <> '00000001' AND (timeline <> lpad(upper(to_hex(timeline_id)), 8, '0') OR checkpoint_time > clock_timestamp() - $1 * {Millisecond})
        FROM pg_control_system(), pg_control_checkpoint(), (SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8) AS timeline) AS wal
        """;

    // One gateway at a time: the lock ends with the statement, so that nobody who hangs keeps it, and a table of another schema has another
    // number. The condition is a sub-select, and what is found is named by its place: with a volatile function in its stead, or in a plan
    // that does not know the limit, every row would be read. The limit is of the text for the same reason.
    public static string Sweep(int limit) =>
        $"""
        WITH turn AS MATERIALIZED (
          SELECT records, pg_try_advisory_xact_lock({SweepLock}, records::integer) AS is_ours FROM CAST('idempotency_records'::regclass AS oid) AS records),
        gone AS (
          DELETE FROM idempotency_records WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM idempotency_records WHERE (SELECT is_ours FROM turn) AND expires_at <= (SELECT clock_timestamp())
            ORDER BY expires_at LIMIT {limit.ToString(CultureInfo.InvariantCulture)} FOR UPDATE SKIP LOCKED))
          RETURNING 1)
        SELECT (SELECT count(*) FROM gone), CASE WHEN is_ours THEN pg_notify('{SweptChannel}', records::text) END FROM turn
        """;
}
