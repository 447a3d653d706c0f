namespace Gateway.Storage.Embedded;

/// <summary>One row of the table <c>records</c>, without its probe; schema.sql says what the columns mean.</summary>
internal readonly record struct RecordRow(
    long RowId,
    int State,
    ClaimToken Token,
    Fingerprint Fingerprint,
    long LeaseUntil,
    long ExpiresAt,
    byte[] Answer,
    int Attempt,
    bool IsForgotten)
{
    public const int Claimed = 1;
    public const int Uncertain = 2;
    public const int Settled = 3;

    /// <summary>What <see cref="Read"/> expects of a query.</summary>
    public const string Columns = "rowid, state, token, fingerprint, lease_until, expires_at, answer, attempt, forgotten";

    /// <exception cref="RecordFormatException">The fingerprint is not one.</exception>
    public static RecordRow Read(Statement row) => new(
        row.GetInt64(0),
        (int)row.GetInt64(1),
        new ClaimToken(new Guid(row.GetBlob(2), bigEndian: true)),
        Fingerprint.From(row.GetBlob(3)),
        row.GetInt64(4),
        row.GetInt64(5),
        row.GetBlob(6).ToArray(),
        (int)row.GetInt64(7),
        row.GetInt64(8) == 1);

    /// <summary>What this row is to others than its owner.</summary>
    public ClaimResult ToResult(long now) => State switch
    {
        Settled => new ClaimResult(ClaimState.Settled, Fingerprint, TimeSpan.FromMilliseconds(ExpiresAt - now), Answer, Attempt),
        Claimed when LeaseUntil > now => new ClaimResult(ClaimState.InProgress, Fingerprint, TimeSpan.FromMilliseconds(LeaseUntil - now), Attempt: Attempt),
        _ => new ClaimResult(ClaimState.Uncertain, Fingerprint, Attempt: Attempt),
    };
}
