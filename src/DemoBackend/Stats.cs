namespace DemoBackend;

/// <summary>
/// How many side effects each system had, read from its rows: the truth that an answer's status cannot tell.
/// <c>doubleBooked</c> counts seats with more than one booking; <c>duplicates</c> counts entries beyond the first of each long URL.
/// </summary>
internal static class Stats
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/stats", CountAsync);
        app.MapDelete("/stats", EmptyAsync);
    }

    static async Task<IResult> CountAsync(Database database)
    {
        using var connection = database.Open();
        using var count = connection.Command("""
            SELECT (SELECT count(*) FROM cart_items),
                   (SELECT count(*) FROM bookings),
                   (SELECT count(*) FROM (SELECT seat FROM bookings GROUP BY seat HAVING count(*) > 1)),
                   (SELECT count(*) FROM urls),
                   (SELECT count(*) - count(DISTINCT long_url) FROM urls)
            """);
        using var row = await count.ExecuteReaderAsync();
        await row.ReadAsync();
        return Results.Ok(new
        {
            Cart = new { Items = row.GetInt64(0) },
            Seats = new { Bookings = row.GetInt64(1), DoubleBooked = row.GetInt64(2) },
            Urls = new { Entries = row.GetInt64(3), Duplicates = row.GetInt64(4) },
        });
    }

    static async Task<IResult> EmptyAsync(Database database)
    {
        using var connection = database.Open();
        using var empty = connection.Command("DELETE FROM cart_items; DELETE FROM bookings; DELETE FROM urls");
        await empty.ExecuteNonQueryAsync();
        return Results.NoContent();
    }
}
