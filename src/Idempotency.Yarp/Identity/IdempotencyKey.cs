using System.Buffers;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>How reading a key ended.</summary>
internal enum KeyParse
{
    Ok,
    Missing,
    Invalid,
}

/// <summary>
/// The value of Idempotency-Key: an sf-string (draft-ietf-httpapi-idempotency-key-header-07, section 2.1; RFC 9651, section 3.3.3)
/// or the same characters bare, as most clients send it. <c>"abc"</c> and <c>abc</c> are one key; case is kept.
/// </summary>
internal static class IdempotencyKey
{
    /// <summary>The field whose grammar this is.</summary>
    public const string Field = "Idempotency-Key";

    /// <summary>In characters, after unquoting. Stripe's limit.</summary>
    public const int MaxLength = 255;

    private static readonly SearchValues<char> Bare =
        SearchValues.Create("-._~:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

    /// <param name="values">The field lines.</param>
    /// <param name="key">The key, unquoted, when Ok.</param>
    /// <param name="reason">What is wrong and what was expected, when Invalid. Never repeats the key.</param>
    public static KeyParse Parse(StringValues values, out string key, out string reason)
    {
        key = "";
        reason = "";
        if (values.Count == 0)
        {
            return KeyParse.Missing;
        }

        if (values.Count > 1)
        {
            reason = $"The field stands {values.Count} times; expected one line.";
            return KeyParse.Invalid;
        }

        var text = (values[0] ?? "").AsSpan().Trim(" \t");
        if (text.IsEmpty)
        {
            reason = "The key is empty; expected 1 to 255 characters.";
            return KeyParse.Invalid;
        }

        reason = text[0] == '"' ? Unquote(text, out key) : ReadBare(text, out key);
        return reason.Length == 0 ? KeyParse.Ok : KeyParse.Invalid;
    }

    /// <summary>What stands between the quotes of an sf-string; any other text as it is. For keys in other fields, whose text is the sender's choice.</summary>
    public static string Unquoted(string text) => text.StartsWith('"') && Unquote(text, out var key).Length == 0 ? key : text;

    private static string ReadBare(ReadOnlySpan<char> text, out string key)
    {
        key = "";
        if (text.Length > MaxLength)
        {
            return $"The key has {text.Length} characters; at most {MaxLength} are allowed.";
        }

        if (text.ContainsAnyExcept(Bare))
        {
            return "The key is not quoted and has a character other than letters, digits and - . _ ~ :; expected a quoted string such as \"8e03978e-40d5\".";
        }

        key = text.ToString();
        return "";
    }

    private static string Unquote(ReadOnlySpan<char> text, out string key)
    {
        key = "";
        if (text.Length > (2 * MaxLength) + 2)
        {
            return $"The key is too long; at most {MaxLength} characters are allowed.";
        }

        Span<char> unquoted = stackalloc char[(2 * MaxLength) + 2];
        var length = 0;
        var i = 1;
        for (; i < text.Length && text[i] != '"'; i++)
        {
            var c = text[i];
            if (c == '\\')
            {
                i++;
                if (i == text.Length || text[i] is not ('"' or '\\'))
                {
                    return "A backslash in the key may only stand before \" or \\ (RFC 9651, section 3.3.3).";
                }

                c = text[i];
            }
            else if (c is < ' ' or > '~')
            {
                return "The key has a control or non-ASCII character (RFC 9651, section 3.3.3).";
            }

            unquoted[length++] = c;
        }

        if (i != text.Length - 1)
        {
            return i >= text.Length ? "The key's closing quote is missing." : "Something follows the key's closing quote; parameters and lists are not allowed.";
        }

        var value = unquoted[..length];
        if (value.Trim(' ').IsEmpty)
        {
            return "The key is empty; expected 1 to 255 characters, not all of them blanks.";
        }

        if (length > MaxLength)
        {
            return $"The key has {length} characters; at most {MaxLength} are allowed.";
        }

        key = value.ToString();
        return "";
    }
}
