using System.Text;
using System.Text.Json;

namespace Gateway.Tests.Support;

/// <summary>
/// What the client got, read to the end, with the questions that tests about idempotency ask. Headers hold one entry per line.
/// </summary>
public sealed record Answer(int Status, IReadOnlyList<KeyValuePair<string, string>> Headers, byte[] Body)
{
    public string Text => Encoding.UTF8.GetString(Body);

    public bool IsReplay => Header("Idempotent-Replayed") == "true";

    /// <summary>The last part of the problem's <c>type</c>, such as <c>in-progress</c>; null when the body is not a problem.</summary>
    public string? ProblemType => Problem?.GetProperty("type").GetString()?.Split('/', '#')[^1];

    /// <summary>The problem's members; null when the body is not application/problem+json.</summary>
    public JsonElement? Problem =>
        Header("Content-Type")?.StartsWith("application/problem+json", StringComparison.OrdinalIgnoreCase) is true
            ? JsonElement.Parse(Body)
            : null;

    /// <summary>The one value, or null without the field; several lines fail the test.</summary>
    public string? Header(string name) => Http1Message.ValuesOf(Headers, name).SingleOrDefault();

    /// <summary>The values of all lines of that name, in order.</summary>
    public IReadOnlyList<string> HeaderValues(string name) => [.. Http1Message.ValuesOf(Headers, name)];

    internal static async Task<Answer> ReadAsync(HttpResponseMessage response, CancellationToken cancellation)
    {
        var body = await response.Content.ReadAsByteArrayAsync(cancellation);
        var fields = response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated);
        return new Answer(
            (int)response.StatusCode,
            [.. fields.SelectMany(field => field.Value, (field, value) => KeyValuePair.Create(field.Key, value))],
            body);
    }
}
