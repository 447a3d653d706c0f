namespace DemoBackend;

/// <summary>
/// Seed 000: many users want one seat. Look up, then insert, with nothing that holds the two together: under read committed two requests
/// both see a free seat and both book it.
/// </summary>
internal static class Seats
{
    // No UNIQUE on the seat: with one, the database would prevent the very fault that this system is here to show.
    public const string Table = """
        CREATE TABLE IF NOT EXISTS bookings (
            id     IDENTITY PRIMARY KEY,
            seat   TEXT     NOT NULL,
            "user" TEXT     NOT NULL
        )
        """;

    sealed record BookingRequest(string? User);

    sealed record Booking(long Id, string Seat, string User);

    public static void Map(WebApplication app)
    {
        app.MapPost("/seats/{seat}/bookings", BookAsync);
        app.MapGet("/seats/{seat}/bookings", ListAsync);
    }

    static async Task<IResult> BookAsync(string seat, HttpRequest http, Database database)
    {
        var body = await JsonBody<BookingRequest>.ReadAsync(http, """{"user":"ann"}""");
        if (body.Error is not null)
            return Results.Problem(body.Error, statusCode: 400);
        if (string.IsNullOrWhiteSpace(body.Value?.User))
            return Results.Problem("user is missing: the name of who books the seat.", statusCode: 400);

        await using var connection = await database.OpenAsync();
        await using var lookUp = connection.Command("""SELECT "user" FROM bookings WHERE seat = @seat LIMIT 1""", ("@seat", seat));
        if (await lookUp.ExecuteScalarAsync() is string owner)
            return Results.Problem($"Seat {seat} is booked by {owner}.", statusCode: 409);

        await database.RoundTripAsync();

        await using var insert = connection.Command(
            """INSERT INTO bookings (seat, "user") VALUES (@seat, @user) RETURNING id""", ("@seat", seat), ("@user", body.Value.User));
        var booking = new Booking((long)(await insert.ExecuteScalarAsync())!, seat, body.Value.User);

        // Without a Location the new resource is found at the request's own address (RFC 9110, 15.3.2), which a GET lists.
        return Results.Json(booking, statusCode: 201);
    }

    static async Task<IResult> ListAsync(string seat, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command("""SELECT id, "user" FROM bookings WHERE seat = @seat ORDER BY id""", ("@seat", seat));
        await using var row = await select.ExecuteReaderAsync();
        List<Booking> bookings = [];
        while (await row.ReadAsync())
            bookings.Add(new(row.GetInt64(0), seat, row.GetString(1)));
        return Results.Ok(bookings);
    }
}
