using System.Security.Cryptography;
using System.Text;
using Idempotency.Storage;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace Idempotency.Yarp;

/// <summary>
/// A multipart body (RFC 2046, section 5.1; RFC 7578), part by part: clients make a fresh boundary for every try, so that the bytes of two tries
/// differ although they say the same.
/// </summary>
internal static class MultipartParts
{
    private const int BufferSize = 16 * 1024;

    /// <summary>What the reader puts in the place of bytes that are not UTF-8.</summary>
    private const char NotUtf8 = '\uFFFD';

    /// <summary>In characters (RFC 2046, section 5.1.1).</summary>
    private const int MaxBoundaryLength = 70;

    /// <summary>As in urlencoded forms.</summary>
    private const int MaxFields = FormReader.DefaultValueCountLimit;

    /// <summary>The boundary of a multipart/form-data body; null for any other, and for one that no parser need accept.</summary>
    public static string? FormBoundaryOf(string? contentType) => BoundaryOf(contentType, isForm: true);

    /// <summary>The boundary of a multipart body of any kind; null for any other, and for one that no parser need accept.</summary>
    public static string? BoundaryOf(string? contentType) => BoundaryOf(contentType, isForm: false);

    /// <summary>A content type without its boundary.</summary>
    public static string WithoutBoundary(string contentType)
    {
        var type = MediaTypeHeaderValue.Parse(contentType);
        type.Boundary = default;
        return type.ToString();
    }

    /// <summary>SHA-256 over the header fields and bytes of all parts in their order; null when the body is not what it claims to be.</summary>
    /// <param name="boundary">Of the body.</param>
    /// <param name="body">Read to its end.</param>
    /// <param name="depth">How deep parts are looked into that are multipart themselves; below that they count byte for byte.</param>
    public static async Task<Digest?> DigestAsync(string boundary, Stream body, int depth = 0)
    {
        using var all = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var part = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BufferSize];
        try
        {
            var reader = new MultipartReader(boundary, body);
            while (await reader.ReadNextSectionAsync() is { } section)
            {
                var inner = depth > 0 ? BoundaryOf(section.ContentType) : null;
                AppendFields(part, section, isWithoutBoundary: inner is not null);
                if (inner is not null)
                {
                    if (await DigestAsync(inner, section.Body, depth - 1) is not { } nested)
                    {
                        return null;
                    }

                    part.AppendData(nested.ToArray());
                }

                int read;
                while ((read = await section.Body.ReadAsync(buffer)) > 0)
                {
                    part.AppendData(buffer, 0, read);
                }

                // Of fixed length, so that no two sequences of parts meet.
                all.AppendData(part.GetHashAndReset());
            }

            return Digest.From(all.GetHashAndReset());
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            return null;
        }
    }

    /// <summary>The values of fields that are not files, by names in any case; none when the body is not what it claims to be.</summary>
    public static async Task<IReadOnlyDictionary<string, StringValues>> ReadFieldsAsync(string boundary, ReadOnlyMemory<byte> body)
    {
        var fields = new KeyValueAccumulator();
        try
        {
            var reader = new MultipartReader(boundary, new MemoryStream(body.ToArray(), writable: false));
            while (await reader.ReadNextSectionAsync() is { } section)
            {
                if (section.GetContentDispositionHeader() is { } disposition && disposition.IsFormDisposition())
                {
                    var name = HeaderUtilities.RemoveQuotes(disposition.Name).Value ?? "";
                    using var text = new StreamReader(section.Body, Encoding.UTF8);
                    fields.Append(name, await text.ReadToEndAsync());
                }

                if (fields.ValueCount > MaxFields)
                {
                    return new Dictionary<string, StringValues>();
                }
            }

            return fields.GetResults();
        }
        catch (Exception e) when (e is IOException or InvalidDataException)
        {
            return new Dictionary<string, StringValues>();
        }
    }

    private static string? BoundaryOf(string? contentType, bool isForm) =>
        MediaTypeHeaderValue.TryParse(contentType, out var type)
        && (isForm ? type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase) : type.Type.Equals("multipart", StringComparison.OrdinalIgnoreCase))
        && HeaderUtilities.RemoveQuotes(type.Boundary) is { Length: > 0 and <= MaxBoundaryLength } boundary
            ? boundary.Value
            : null;

    private static void AppendFields(IncrementalHash hash, MultipartSection section, bool isWithoutBoundary)
    {
        foreach (var (name, values) in (section.Headers ?? []).OrderBy(header => header.Key, StringComparer.OrdinalIgnoreCase))
        {
            foreach (var value in values)
            {
                if (value?.Contains(NotUtf8, StringComparison.Ordinal) is true)
                {
                    throw new InvalidDataException("A part's header field is not UTF-8; its bytes are not known here.");
                }

                var counts = isWithoutBoundary && name.Equals("Content-Type", StringComparison.OrdinalIgnoreCase) ? WithoutBoundary(value!) : value;
                hash.AppendData(Encoding.UTF8.GetBytes($"{name.ToUpperInvariant()}:{counts}\n"));
            }
        }

        hash.AppendData("\n"u8);
    }
}
