using System.Security.Cryptography;
using System.Text;

namespace DemoBackend;

/// <summary>
/// Seed 001: one short code per long URL, or so its authors meant. The look-up and the insert are two trips to the database, so identical
/// calls that run at the same time all find nothing and all make an entry.
/// </summary>
internal static class UrlShortener
{
    // No UNIQUE on the long URL: see Seats.
    public const string Table = """
        CREATE TABLE IF NOT EXISTS urls (
            code     TEXT PRIMARY KEY,
            long_url TEXT NOT NULL
        )
        """;

    const string CodeAlphabet = "abcdefghijkmnpqrstuvwxyz23456789";
    const int CodeLength = 8;

    sealed record ShortenRequest(string? LongUrl);

    sealed record Entry(string Code, string LongUrl);

    public static void Map(WebApplication app)
    {
        app.MapPost("/urls", ShortenAsync);
        app.MapGet("/{code}", FollowAsync);
    }

    static async Task<IResult> ShortenAsync(HttpRequest http, Database database)
    {
        var body = await JsonBody<ShortenRequest>.ReadAsync(http, """{"longUrl":"https://example.org/a/long/path"}""");
        if (body.Error is not null)
            return Results.Problem(body.Error, statusCode: 400);
        if (ParseUrl(body.Value?.LongUrl) is not { } longUrl)
            return Results.Problem("longUrl is missing or wrong: an absolute http or https URL in ASCII.", statusCode: 400);

        await using var connection = await database.OpenAsync();
        await using var lookUp = connection.Command("SELECT code FROM urls WHERE long_url = @url LIMIT 1", ("@url", longUrl));
        if (await lookUp.ExecuteScalarAsync() is string existing)
            return Results.Ok(new Entry(existing, longUrl));

        await database.RoundTripAsync();

        var code = RandomNumberGenerator.GetString(CodeAlphabet, CodeLength);
        await using var insert = connection.Command(
            "INSERT INTO urls (code, long_url) VALUES (@code, @url)", ("@code", code), ("@url", longUrl));
        await insert.ExecuteNonQueryAsync();
        return Results.Created($"/{code}", new Entry(code, longUrl));
    }

    static async Task<IResult> FollowAsync(string code, Database database)
    {
        await using var connection = await database.OpenAsync();
        await using var lookUp = connection.Command("SELECT long_url FROM urls WHERE code = @code", ("@code", code));
        return await lookUp.ExecuteScalarAsync() is string longUrl ? Results.Redirect(longUrl) : Results.NotFound();
    }

    // ASCII and escaped, because it becomes a Location header.
    static string? ParseUrl(string? text) =>
        text is not null && Ascii.IsValid(text) && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https"
            ? url.AbsoluteUri
            : null;
}
