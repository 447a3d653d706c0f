using System.Text.Json;

namespace DemoBackend;

/// <summary>
/// A request's JSON: a value, nothing (no body at all), or what is wrong with it. The Content-Type is not looked at, as in many a legacy
/// API; a plain <c>curl -d '{...}'</c> works.
/// </summary>
internal readonly record struct JsonBody<T>(T? Value, string? Error) where T : class
{
    public static async Task<JsonBody<T>> ReadAsync(HttpRequest request, string example)
    {
        // All of it first: an absent body, chunked or not, is then told from a malformed one by its length alone. Without RequestAborted:
        // a body that has arrived is worked on even if the client has gone.
        using var bytes = new MemoryStream();
        await request.Body.CopyToAsync(bytes);
        if (bytes.Length == 0)
            return default;

        try
        {
            bytes.Position = 0;
            return new(JsonSerializer.Deserialize<T>(bytes, JsonSerializerOptions.Web), null);
        }
        catch (JsonException e)
        {
            return new(null, $"The body must be JSON such as {example}; it is wrong at {e.Path ?? "$"}, line {e.LineNumber + 1}.");
        }
    }
}
