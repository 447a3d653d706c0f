using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Idempotency.Storage;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Idempotency.Yarp;

/// <summary>A request body that was understood: as JSON, as a form, or not at all. What the backend may read differently counts as not understood.</summary>
internal sealed class RequestContent : IDisposable
{
    /// <summary>A member that stands twice is read differently by different parsers.</summary>
    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private readonly JsonDocument? _json;
    private readonly IReadOnlyDictionary<string, StringValues> _form;
    private readonly bool _isLarge;

    private RequestContent(JsonDocument? json, IReadOnlyDictionary<string, StringValues> form, bool isLarge = false)
    {
        (_json, _form, _isLarge) = (json, form, isLarge);
    }

    /// <param name="contentType">Decides what the bytes are.</param>
    /// <param name="bytes">The whole body; must stay as it is until disposal.</param>
    public static async Task<RequestContent> ParseAsync(string? contentType, ReadOnlyMemory<byte> bytes)
    {
        if (MediaTypeHeaderValue.TryParse(contentType, out var type) && type.MediaType.Equals("application/x-www-form-urlencoded", StringComparison.OrdinalIgnoreCase))
        {
            return new RequestContent(null, ParseUrlEncoded(bytes.Span));
        }

        if (MultipartParts.FormBoundaryOf(contentType) is { } boundary)
        {
            return new RequestContent(null, await MultipartParts.ReadFieldsAsync(boundary, bytes));
        }

        var isLarge = LargeBodies.IsLarge(bytes.Length);
        return new RequestContent(isLarge ? await LargeBodies.RunAsync(() => TryParseJson(bytes)) : TryParseJson(bytes), new Dictionary<string, StringValues>(), isLarge);
    }

    /// <summary>A digest of the JSON value (<see cref="CanonicalJson"/>); null when the body is none.</summary>
    public async ValueTask<Digest?> JsonDigestAsync(IReadOnlyList<string> ignore) =>
        _json is null ? null
        : _isLarge ? await LargeBodies.RunAsync(() => JsonDigest(_json, ignore))
        : JsonDigest(_json, ignore);

    public StringValues FormValues(string name) => _form.GetValueOrDefault(name);

    /// <param name="pointer">Where to look.</param>
    /// <param name="value">Text as it is, numbers in one form, booleans as <c>true</c> and <c>false</c>.</param>
    /// <param name="isText">False for objects and lists.</param>
    /// <returns>False when there is nothing, or null.</returns>
    public bool TryFind(IReadOnlyList<string> pointer, out string? value, out bool isText)
    {
        value = null;
        isText = true;
        try
        {
            if (_json is null || !JsonPointer.TryFind(_json.RootElement, pointer, out var found) || found.ValueKind == JsonValueKind.Null)
            {
                return false;
            }

            isText = found.ValueKind is not (JsonValueKind.Object or JsonValueKind.Array);
            value = found.ValueKind switch
            {
                JsonValueKind.String => found.GetString(),
                JsonValueKind.Number => CanonicalJson.Number(found.GetRawText()),
                _ => found.GetRawText(),
            };
            return true;
        }
        catch (InvalidOperationException)
        {
            return false; // a lone surrogate, there or on the way
        }
    }

    public void Dispose()
    {
        if (_isLarge && _json is not null)
        {
            LargeBodies.Dispose(_json);
        }
        else
        {
            _json?.Dispose();
        }
    }

    private static Digest? JsonDigest(JsonDocument json, IReadOnlyList<string> ignore)
    {
        try
        {
            using var sink = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            var hash = new FieldHash(stackalloc byte[1024], sink);
            CanonicalJson.AddTo(ref hash, json.RootElement, ignore);
            return hash.Sha256();
        }
        catch (InvalidOperationException)
        {
            // Text that is not Unicode (a lone surrogate): nothing that JSON parsers agree on.
            return null;
        }
    }

    private static JsonDocument? TryParseJson(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            return JsonDocument.Parse(bytes, Strict);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            return null; // no JSON, or a member's name is no text (a lone surrogate)
        }
    }

    /// <summary>Names in any case, as in queries: whoever reads them strictly must not see another value than the gateway.</summary>
    private static Dictionary<string, StringValues> ParseUrlEncoded(ReadOnlySpan<byte> bytes)
    {
        try
        {
            using var reader = new FormReader(Encoding.UTF8.GetString(bytes));
            return reader.ReadForm();
        }
        catch (InvalidDataException)
        {
            return []; // more fields than anybody means
        }
    }
}
