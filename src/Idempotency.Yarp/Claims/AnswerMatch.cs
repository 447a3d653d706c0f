using System.Text.Json;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// What an answer to a probe says. A status alone may come from anybody on the way, or from a page that is there for every path; what
/// has the status and not the rest says nothing.
/// </summary>
internal static class AnswerMatch
{
    /// <summary>For answers that must be looked into, however little of them is kept. 1 MiB, in bytes.</summary>
    private const long MaxJsonBytes = 1024 * 1024;

    /// <summary>A member that stands twice is read differently by different parsers.</summary>
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>The largest answer that is of use, in bytes.</summary>
    public static long MaxBytes(IdempotencyPolicy policy) => policy.Probe?.Match?.Json.Count > 0 ? Math.Max(policy.MaxAnswerBytes, MaxJsonBytes) : policy.MaxAnswerBytes;

    public static ProbeVerdict Judge(ProbePolicy probe, ProbeQuestion question, ProbeAnswer answer) =>
        probe.Absent.Contains(answer.Status) ? ProbeVerdict.Absent
        : probe.Found.Contains(answer.Status) && (probe.Match is null || Matches(probe.Match, question, answer)) ? ProbeVerdict.Found
        : ProbeVerdict.Unclear;

    private static bool Matches(ProbeMatch match, ProbeQuestion question, ProbeAnswer answer) =>
        (match.MediaType is null || match.MediaType.Equals(answer.MediaType, StringComparison.OrdinalIgnoreCase))
        && (match.Json.Count == 0 || (answer.Body is { } body && HasAll(body, question.Expected)));

    private static bool HasAll(byte[] body, IReadOnlyList<KeyValuePair<string, string>> expected)
    {
        try
        {
            using var json = JsonDocument.Parse(body, Strict);
            return expected.All(item => JsonPointer.TryFind(json.RootElement, JsonPointer.Parse(item.Key)!, out var found) && Says(found, item.Value));
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return false; // no JSON, or text that is no text (a lone surrogate)
        }
    }

    /// <summary>As selectors read a body: text as it is, numbers by their value, booleans as <c>true</c> and <c>false</c>.</summary>
    private static bool Says(JsonElement found, string expected) => found.ValueKind switch
    {
        JsonValueKind.String => found.GetString() == expected,
        JsonValueKind.Number => CanonicalJson.Number(found.GetRawText()) == (NumberOf(expected) ?? expected),
        JsonValueKind.True or JsonValueKind.False => found.GetRawText() == expected,
        _ => false,
    };

    private static string? NumberOf(string text)
    {
        try
        {
            using var json = JsonDocument.Parse(text);
            return json.RootElement.ValueKind == JsonValueKind.Number ? CanonicalJson.Number(json.RootElement.GetRawText()) : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
