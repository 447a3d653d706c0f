using System.Text.Json;

namespace Idempotency.Yarp;

/// <summary>What a parsed body takes beside its bytes: a small document may unfold to twenty-five times its size.</summary>
internal static class ParsedBody
{
    /// <summary>Of a JSON value, in bytes: its place in the parser's table, which doubles when it is full, and a part of what sorting names takes.</summary>
    private const int TokenSize = 32;

    /// <summary>Names, texts and values as UTF-16, and a copy of them.</summary>
    private const int TextFactor = 3;

    /// <summary>In bytes, about. Reads through JSON without holding anything of it.</summary>
    public static long SizeOf(ReadOnlySpan<byte> bytes) => (TextFactor * (long)bytes.Length) + (TokenSize * CountTokens(bytes));

    /// <summary>Until the first thing that is no JSON, where a parser ends too.</summary>
    private static long CountTokens(ReadOnlySpan<byte> bytes)
    {
        var count = 0L;
        var reader = new Utf8JsonReader(bytes);
        try
        {
            while (reader.Read())
            {
                count++;
            }
        }
        catch (JsonException)
        {
            // As far as it was one.
        }

        return count;
    }
}
