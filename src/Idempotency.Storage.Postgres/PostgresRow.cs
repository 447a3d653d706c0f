namespace Idempotency.Storage.Postgres;

/// <summary>A record and the server's time when it was read; the record is null when nothing is there, or its retention is over.</summary>
/// <param name="Record">What is on record.</param>
/// <param name="Version">Of the row, also of one that is over; 0 when there is none. A write names it, and has no effect when it has changed.</param>
/// <param name="Now">Milliseconds since 1970.</param>
internal readonly record struct PostgresRow(StoredRecord? Record, long Version, long Now);
