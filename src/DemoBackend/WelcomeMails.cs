using System.Data.Common;
using System.Text.Json;

namespace DemoBackend;

/// <summary>
/// Seed 003's background job: drains the table of events into the outbox, which stands for the e-mails that were sent. An event is done
/// when it has its row there, and cannot get two.
/// </summary>
internal sealed class WelcomeMails(Database database, TimeProvider time, ILogger<WelcomeMails> logger) : BackgroundJob(Interval, time, logger)
{
    public const string Event = "user_created:send_welcome_email";

    public const string Tables = """
        CREATE TABLE IF NOT EXISTS events (
            id      IDENTITY PRIMARY KEY,
            name    TEXT     NOT NULL,
            payload TEXT     NOT NULL
        );
        CREATE TABLE IF NOT EXISTS outbox (
            id        IDENTITY PRIMARY KEY,
            event_id  BIGINT   NOT NULL UNIQUE,
            recipient TEXT     NOT NULL
        )
        """;

    const int Batch = 100;

    static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(100);

    public sealed record Payload(string Email);

    protected override async Task WorkAsync()
    {
        await using var connection = await database.OpenAsync();
        List<(long Id, string Payload)> events;
        do
        {
            events = await FindAsync(connection);
            foreach (var (id, payload) in events)
                await SendAsync(connection, id, JsonSerializer.Deserialize<Payload>(payload, JsonSerializerOptions.Web)!.Email);
        }
        while (events.Count == Batch);
    }

    static async Task<List<(long Id, string Payload)>> FindAsync(DbConnection connection)
    {
        await using var select = connection.Command("""
            SELECT id, payload FROM events
            WHERE name = @name AND NOT EXISTS (SELECT 1 FROM outbox WHERE event_id = events.id)
            ORDER BY id LIMIT @batch
            """, ("@name", Event), ("@batch", Batch));
        await using var row = await select.ExecuteReaderAsync();
        List<(long Id, string Payload)> found = [];
        while (await row.ReadAsync())
            found.Add((row.GetInt64(0), row.GetString(1)));
        return found;
    }

    // Another process may have been quicker since, which the unique constraint tells; or the event may be gone (DELETE /stats).
    static async Task SendAsync(DbConnection connection, long id, string recipient)
    {
        await using var insert = connection.Command("""
            INSERT INTO outbox (event_id, recipient) SELECT id, @recipient FROM events WHERE id = @id ON CONFLICT (event_id) DO NOTHING
            """, ("@recipient", recipient), ("@id", id));
        await insert.ExecuteNonQueryAsync();
    }
}
