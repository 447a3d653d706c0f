using System.Net.Http.Headers;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Configuration;

/// <summary>Reads the parts of <c>Uncertain:Probe</c> in which values of the request may stand, beside its path.</summary>
internal static class ProbeReader
{
    private const string JsonExpected = "expected JSON pointers and the text that stands there, such as \"/reference\": \"{key}\"";

    /// <summary>The caller's credentials would be kept in the store for as long as the outcome is unknown.</summary>
    private static readonly string[] Credentials = ["Cookie", .. Selector.CredentialFields.Select(field => field.Name)];

    /// <param name="reader">Of the section <c>Headers</c>.</param>
    public static List<KeyValuePair<string, ProbeTemplate>> ReadHeaders(SettingsReader reader)
    {
        var headers = new List<KeyValuePair<string, ProbeTemplate>>();
        foreach (var name in reader.Names())
        {
            // The value may be a credential: what is wrong is named, the value is not repeated.
            var text = reader.OptionalText(name) ?? "";
            var value = ProbeTemplate.ParseText(text, out var expected);
            if (!HttpToken.IsToken(name))
            {
                reader.Errors.Add(reader.PathOf(name), null, "expected the name of a header field");
            }
            else if (!IsRequestField(name, text))
            {
                reader.Errors.Add(reader.PathOf(name), null, "expected a field that a request without a body may have, in one line");
            }
            else if (value is null)
            {
                reader.Errors.Add(reader.PathOf(name), null, $"expected {expected}");
            }
            else if (value.Selectors.FirstOrDefault(selector => selector.Kind == SelectorKind.Cookie || Credentials.Any(selector.IsField)) is { } credentials)
            {
                reader.Errors.Add(reader.PathOf(name), null, $"expected no {{{credentials}}}, because a probe is also asked when the caller is gone, and the caller's credentials are not kept; write credentials of the gateway's own");
            }
            else
            {
                headers.Add(new(name, value));
            }
        }

        return headers;
    }

    /// <param name="probe">Of the section <c>Probe</c>.</param>
    /// <returns>Null when it is not written.</returns>
    public static ProbeMatch? ReadMatch(SettingsReader probe)
    {
        var isWritten = probe.IsWritten("Match");
        var reader = probe.Section("Match");
        var mediaType = reader.OptionalText("MediaType");
        var json = ReadJson(reader.Section("Json"));
        reader.RejectUnknown();
        if (mediaType is not null && (!MediaTypeHeaderValue.TryParse(mediaType, out var type) || type.Parameters.Count > 0 || mediaType.Contains('*', StringComparison.Ordinal)))
        {
            reader.Errors.Add(reader.PathOf("MediaType"), mediaType, "a media type without parameters, such as application/json");
        }

        return isWritten ? new ProbeMatch(mediaType, json) : null;
    }

    private static List<KeyValuePair<string, ProbeTemplate>> ReadJson(SettingsReader reader)
    {
        var json = new List<KeyValuePair<string, ProbeTemplate>>();
        foreach (var pointer in reader.Names())
        {
            var text = reader.OptionalText(pointer);
            var expected = JsonExpected;
            var value = text is null ? null : ProbeTemplate.ParseText(text, out expected);
            if (value is null || pointer.Length == 0 || JsonPointer.Parse(pointer) is null)
            {
                reader.Errors.Add(reader.PathOf(pointer), value is null ? text : null, value is null ? expected : JsonExpected);
            }
            else
            {
                json.Add(new(pointer, value));
            }
        }

        return json;
    }

    /// <summary>Asked of the client that will send it: it takes neither fields of a body nor line breaks.</summary>
    private static bool IsRequestField(string name, string value)
    {
        using var request = new HttpRequestMessage();
        return !value.Any(char.IsControl) && request.Headers.TryAddWithoutValidation(name, value);
    }
}
