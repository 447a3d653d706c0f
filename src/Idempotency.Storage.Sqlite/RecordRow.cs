namespace Idempotency.Storage.Sqlite;

/// <summary>One row of the table <c>records</c>, without its probe; schema.sql says what the columns mean.</summary>
internal readonly record struct RecordRow(long RowId, StoredRecord Record)
{
    /// <summary>What <see cref="Read"/> expects of a query.</summary>
    public const string Columns = "rowid, state, token, fingerprint, lease_until, expires_at, answer, attempt, forgotten";

    /// <exception cref="RecordFormatException">The fingerprint is not one.</exception>
    public static RecordRow Read(Statement row) => new(
        row.GetInt64(0),
        new StoredRecord(
            (RecordState)row.GetInt64(1),
            new ClaimToken(new Guid(row.GetBlob(2), bigEndian: true)),
            Fingerprint.From(row.GetBlob(3)),
            row.GetInt64(4),
            row.GetInt64(5),
            row.GetBlob(6).ToArray(),
            (int)row.GetInt64(7),
            row.GetInt64(8) == 1));
}
