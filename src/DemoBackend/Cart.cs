namespace DemoBackend;

/// <summary>Seed 000: a POST adds an item to the cart. Every call makes a new row, so a retried call makes one row too many.</summary>
internal static class Cart
{
    public const string Table = """
        CREATE TABLE IF NOT EXISTS cart_items (
            id       IDENTITY PRIMARY KEY,
            sku      TEXT     NOT NULL,
            quantity INTEGER  NOT NULL
        )
        """;

    sealed record ItemRequest(string? Sku, int Quantity = 1);

    sealed record Item(long Id, string Sku, int Quantity);

    public static void Map(WebApplication app)
    {
        app.MapPost("/cart/items", AddAsync);
        app.MapGet("/cart/items/{id:long}", GetAsync);
    }

    // No cancellation token anywhere in the work: the server finishes what a client has given up on, which is why retries duplicate.
    static async Task<IResult> AddAsync(HttpRequest http, Database database)
    {
        var body = await JsonBody<ItemRequest>.ReadAsync(http, """{"sku":"book-1","quantity":2}""");
        if (body.Error is not null)
            return Results.Problem(body.Error, statusCode: 400);

        var (sku, quantity) = body.Value ?? new ItemRequest("default-item");
        if (string.IsNullOrWhiteSpace(sku))
            return Results.Problem("sku is missing: a text that names the article.", statusCode: 400);
        if (quantity < 1)
            return Results.Problem($"quantity is {quantity}: it must be 1 or more.", statusCode: 400);

        await using var connection = await database.OpenAsync();
        await using var insert = connection.Command(
            "INSERT INTO cart_items (sku, quantity) VALUES (@sku, @quantity) RETURNING id", ("@sku", sku), ("@quantity", quantity));
        var item = new Item((long)(await insert.ExecuteScalarAsync())!, sku, quantity);
        return Results.Created($"/cart/items/{item.Id}", item);
    }

    static async Task<IResult> GetAsync(long id, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var select = connection.Command("SELECT sku, quantity FROM cart_items WHERE id = @id", ("@id", id));
        await using var row = await select.ExecuteReaderAsync();
        return await row.ReadAsync() ? Results.Ok(new Item(id, row.GetString(0), row.GetInt32(1))) : Results.NotFound();
    }
}
