using System.Text.RegularExpressions;

namespace Idempotency.Yarp.Policies;

/// <summary>
/// What a key must look like as a whole (<c>KeyPattern</c>): a .NET regular expression without backtracking, so that no key takes longer than its
/// length.
/// </summary>
/// <param name="Text">As it is written in the policy.</param>
internal sealed record KeyPattern(string Text)
{
    /// <summary>In characters.</summary>
    private const int MaxLength = 1000;

    private readonly Regex _regex = new($"\\A(?:{Text})\\z", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture);

    public bool IsMatch(string key) => _regex.IsMatch(key);

    /// <summary>Null for what is none; <paramref name="expected"/> says then what was expected.</summary>
    public static KeyPattern? Parse(string text, out string expected)
    {
        expected = $"a regular expression of 1 to {MaxLength} characters that a whole key must match, such as [A-Za-z0-9_-]{{16,64}}";
        if (text.Length is 0 or > MaxLength)
        {
            return null;
        }

        try
        {
            _ = new Regex(text); // alone: what is wrong with it is not to be explained by what stands around it
            return new KeyPattern(text);
        }
        catch (NotSupportedException)
        {
            expected = "a regular expression without lookarounds, backreferences and other things that need backtracking";
        }
        catch (ArgumentException e)
        {
            expected = $"a regular expression ({e.Message.ReplaceLineEndings(" ")})";
        }

        return null;
    }
}
