using System.Data.Common;
using System.Text.Json;

namespace DemoBackend;

/// <summary>
/// Seed 002, the form that knows keys: opens an account at two foreign systems by <see cref="AccountWalk"/>. A retry with the same key goes on
/// where the last one came to, and gets the stored answer once there is one.
/// </summary>
internal static class Accounts
{
    const int MaxKeyLength = 255;

    public static void Map(WebApplication app)
    {
        app.MapPost("/accounts", OpenAsync).AddEndpointFilter<SerializationAdvice>();
        app.MapGet("/accounts", AccountRows.FindAsync);
        app.MapGet("/accounts/{id:long}", AccountRows.GetAsync);
    }

    static async Task<IResult> OpenAsync(HttpContext http, Database database, IdempotencyKeys keys, AccountWalk walk)
    {
        if (http.Request.Headers["Idempotency-Key"] is not [{ } name] || !IsKey(name))
            return Results.Problem($"Idempotency-Key is missing or wrong: one line of 1 to {MaxKeyLength} visible characters.", statusCode: 400);
        var (account, error) = await AccountRequest.ReadAsync(http.Request);
        if (error is not null)
            return Results.Problem(error, statusCode: 400);

        var parameters = JsonSerializer.Serialize(account, JsonSerializerOptions.Web);
        IdempotencyKey key;
        try
        {
            key = await keys.StartAsync(name, http.Request.Method, http.Request.Path, parameters);
            if (key.Params != parameters)
                return Results.Problem("The Idempotency-Key was used with other parameters.", statusCode: 422);

            key = await walk.WalkAsync(name, ForeignFaults.Of(http.Request));
        }
        catch (Exception e) when (e is ForeignSystemException || (e is DbException failure && !database.IsSerializationFailure(failure)))
        {
            // Not 500, which says that trying again is of no use: the retry goes on at the recovery point.
            http.Response.Headers.RetryAfter = "1";
            return Results.Problem(e.Message, statusCode: 503);
        }

        var id = JsonSerializer.Deserialize<Account>(key.ResponseBody!, JsonSerializerOptions.Web)!.Id;
        http.Response.Headers.Location = $"/accounts/{id}";
        return Results.Text(key.ResponseBody, "application/json", statusCode: key.ResponseCode);
    }

    // It goes on as part of the keys that the foreign systems are sent.
    static bool IsKey(string text) => text.Length is > 0 and <= MaxKeyLength && text.All(c => c is > ' ' and <= '~');
}
