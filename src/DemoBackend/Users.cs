using System.Data.Common;
using System.Text.Json;

namespace DemoBackend;

/// <summary>
/// Seed 003: the row of a user and the event that sends the welcome e-mail are made in one serializable transaction, and the e-mail is
/// unique. A repeated POST is told 200, one that came at the same moment 409, and neither makes anything.
/// </summary>
internal static class Users
{
    public const string Table = """
        CREATE TABLE IF NOT EXISTS users (
            id    IDENTITY PRIMARY KEY,
            email TEXT     NOT NULL UNIQUE,
            name  TEXT     NOT NULL
        )
        """;

    sealed record UserRequest(string? Email, string? Name);

    sealed record User(long Id, string Email, string Name);

    public static void Map(WebApplication app)
    {
        app.MapPost("/api/users", CreateAsync).AddEndpointFilter<SerializationAdvice>();
        app.MapGet("/api/users/{id:long}", GetAsync);
    }

    static async Task<IResult> CreateAsync(HttpRequest http, Database database, TimeProvider time)
    {
        var body = await JsonBody<UserRequest>.ReadAsync(http, """{"email":"ann@example.org","name":"Ann"}""");
        if (body.Error is not null)
            return Results.Problem(body.Error, statusCode: 400);
        if (body.Value?.Email is not { } email || !IsAddress(email))
            return Results.Problem("email is missing or wrong: an address such as ann@example.org.", statusCode: 400);
        if (string.IsNullOrWhiteSpace(body.Value.Name))
            return Results.Problem("name is missing: what the user is called.", statusCode: 400);

        try
        {
            return await database.SerializableAsync(connection => CreateOnceAsync(database, connection, email, body.Value.Name));
        }
        catch (DbException e) when (database.IsUniqueViolation(e))
        {
            return Results.Ok(new { Timestamp = time.GetUtcNow(), Message = "User exists" });
        }
    }

    static async Task<IResult> CreateOnceAsync(Database database, DbConnection connection, string email, string name)
    {
        await using var lookUp = connection.Command("SELECT id FROM users WHERE email = @email", ("@email", email));
        if (await lookUp.ExecuteScalarAsync() is not null)
            return Results.Text("User exists");

        await database.RoundTripAsync();

        await using var insert = connection.Command(
            "INSERT INTO users (email, name) VALUES (@email, @name) RETURNING id", ("@email", email), ("@name", name));
        var id = (long)(await insert.ExecuteScalarAsync())!;
        await using var enqueue = connection.Command(
            "INSERT INTO events (name, payload) VALUES (@name, @payload)",
            ("@name", WelcomeMails.Event),
            ("@payload", JsonSerializer.Serialize(new WelcomeMails.Payload(email), JsonSerializerOptions.Web)));
        await enqueue.ExecuteNonQueryAsync();
        return Results.Created($"/api/users/{id}", null);
    }

    static async Task<IResult> GetAsync(long id, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command("SELECT email, name FROM users WHERE id = @id", ("@id", id));
        await using var row = await select.ExecuteReaderAsync();
        return await row.ReadAsync() ? Results.Ok(new User(id, row.GetString(0), row.GetString(1))) : Results.NotFound();
    }

    static bool IsAddress(string text) =>
        text.IndexOf('@', StringComparison.Ordinal) is > 0 and var at && at < text.Length - 1
        && !text.Any(c => char.IsWhiteSpace(c) || char.IsControl(c));
}
