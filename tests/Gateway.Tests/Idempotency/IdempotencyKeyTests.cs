using FsCheck;
using FsCheck.Fluent;
using Idempotency.Yarp;
using Microsoft.Extensions.Primitives;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class IdempotencyKeyTests
{
    private const string BareCharacters = "-._~:0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    private const string PrintableAscii = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

    [Theory]
    [InlineData("abc", "abc")]
    [InlineData("\"abc\"", "abc")]
    [InlineData("ABC", "ABC")]
    [InlineData("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324")]
    [InlineData("a:b~c._-", "a:b~c._-")]
    [InlineData(" \t abc \t", "abc")]
    [InlineData(" \"abc\" ", "abc")]
    [InlineData("\" a b \"", " a b ")]
    [InlineData("\"a, b; c=1\"", "a, b; c=1")]
    [InlineData("\"a\\\"b\"", "a\"b")]
    [InlineData("\"a\\\\\"", "a\\")]
    public void AKey_IsRead(string value, string key)
    {
        Assert.Equal(KeyParse.Ok, IdempotencyKey.Parse(value, out var read, out var reason));
        Assert.Equal((key, ""), (read, reason));
    }

    [Theory]
    [InlineData("", "empty")]
    [InlineData(" \t ", "empty")]
    [InlineData("\"\"", "empty")]
    [InlineData("\"   \"", "empty")]
    [InlineData("\"", "closing quote is missing")]
    [InlineData("\"abc", "closing quote is missing")]
    [InlineData("\"abc\\\"", "closing quote is missing")]
    [InlineData("\"abc\\", "backslash")]
    [InlineData("\"a\\b\"", "backslash")]
    [InlineData("\"a\\,\"", "backslash")]
    [InlineData("\"k\";a=1", "parameters and lists")]
    [InlineData("\"a\", \"b\"", "parameters and lists")]
    [InlineData("\"a\"b", "parameters and lists")]
    [InlineData("\"a\" \"b\"", "parameters and lists")]
    [InlineData("\"a\u0000b\"", "control or non-ASCII")]
    [InlineData("\"a\u0001b\"", "control or non-ASCII")]
    [InlineData("\"a\tb\"", "control or non-ASCII")]
    [InlineData("\"a\u007fb\"", "control or non-ASCII")]
    [InlineData("\"caf\u00e9\"", "control or non-ASCII")]
    [InlineData("\u00a0abc", "not quoted")]
    [InlineData("abc\v", "not quoted")]
    [InlineData("a b", "not quoted")]
    [InlineData("a\tb", "not quoted")]
    [InlineData("a,b", "not quoted")]
    [InlineData("a;b", "not quoted")]
    [InlineData("a/b", "not quoted")]
    [InlineData("abc\"", "not quoted")]
    [InlineData("'single'", "not quoted")]
    [InlineData(":aGk=:", "not quoted")]
    [InlineData("?1", "not quoted")]
    [InlineData("@1", "not quoted")]
    [InlineData("%\"x\"", "not quoted")]
    [InlineData("caf\u00e9", "not quoted")]
    [InlineData("a\u007f", "not quoted")]
    public void AKeyThatIsNotOne_IsExplained(string value, string reason)
    {
        Assert.Equal(KeyParse.Invalid, IdempotencyKey.Parse(value, out var key, out var given));
        Assert.Equal("", key);
        Assert.Contains(reason, given, StringComparison.Ordinal);
    }

    [Fact]
    public void NoLine_IsAMissingKey_AndTwoAreAnInvalidOne()
    {
        Assert.Equal(KeyParse.Missing, IdempotencyKey.Parse(default, out var key, out var reason));
        Assert.Equal(("", ""), (key, reason));
        Assert.Equal(KeyParse.Invalid, IdempotencyKey.Parse(new StringValues([null]), out _, out reason));
        Assert.Equal("The key is empty; expected 1 to 255 characters.", reason);
        Assert.Equal(KeyParse.Invalid, IdempotencyKey.Parse(new StringValues(["a", "a"]), out _, out reason));
        Assert.Equal("The field stands 2 times; expected one line.", reason);
    }

    [Theory]
    [InlineData(255, true)]
    [InlineData(256, false)]
    [InlineData(10_000, false)]
    public void TheLengthIsCounted_InCharactersOfTheKey(int length, bool isValid)
    {
        var expected = isValid ? KeyParse.Ok : KeyParse.Invalid;

        Assert.Equal(expected, IdempotencyKey.Parse(new string('k', length), out _, out _));
        Assert.Equal(expected, IdempotencyKey.Parse($"\"{new string(' ', length - 1)}k\"", out _, out _));
        Assert.Equal(expected, IdempotencyKey.Parse(Quote(new string('"', length)), out _, out _));
    }

    /// <summary>How long a quoted key may be before it is unquoted: as long as it can be with a backslash before each character.</summary>
    [Theory]
    [InlineData(256, "The key has 256 characters; at most 255 are allowed.")]
    [InlineData(510, "The key has 510 characters; at most 255 are allowed.")]
    [InlineData(511, "The key is too long; at most 255 characters are allowed.")]
    public void ALongQuotedKey_IsExplained(int length, string expected)
    {
        Assert.Equal(KeyParse.Invalid, IdempotencyKey.Parse($"\"{new string('k', length)}\"", out _, out var reason));
        Assert.Equal(expected, reason);
    }

    [Fact]
    public void ALongBareKey_IsExplained()
    {
        Assert.Equal(KeyParse.Invalid, IdempotencyKey.Parse(new string('k', 256), out var key, out var reason));
        Assert.Equal(("", "The key has 256 characters; at most 255 are allowed."), (key, reason));
    }

    [Theory]
    [InlineData("\"abc\"", "abc")]
    [InlineData("\"a\\\"b\"", "a\"b")]
    [InlineData("abc", "abc")]
    [InlineData("a b", "a b")]
    [InlineData("\"abc", "\"abc")]
    [InlineData("\"\"", "\"\"")]
    [InlineData("abc\"", "abc\"")]
    [InlineData("", "")]
    public void AKeyInAnotherField_IsUnquoted_OrAsItIs(string text, string key) => Assert.Equal(key, IdempotencyKey.Unquoted(text));

    [Fact]
    public void ReasonsNeverRepeatTheKey()
    {
        const string Secret = "hunter2";

        Assert.All(
            [$"{Secret} x", $"\"{Secret}", $"\"{Secret}\";a=1", $"\"{Secret}\u0001\"", string.Concat(Enumerable.Repeat(Secret, 100))],
            value =>
            {
                IdempotencyKey.Parse(value, out _, out var reason);
                Assert.DoesNotContain(Secret, reason, StringComparison.Ordinal);
            });
    }

    [Fact]
    public void EveryStringThatIsWrittenAsAnSfString_IsReadBack() =>
        Prop.ForAll(Keys(PrintableAscii).Where(key => key.Trim(' ').Length > 0).ToArbitrary(), key => ReadsAs(Quote(key), key))
            .QuickCheckThrowOnFailure();

    [Fact]
    public void EveryBareKey_IsTheSameAsItsQuotedForm() =>
        Prop.ForAll(Keys(BareCharacters).ToArbitrary(), key => ReadsAs(key, key) && ReadsAs(Quote(key), key)).QuickCheckThrowOnFailure();

    private static Gen<string> Keys(string alphabet) =>
        from length in Gen.Choose(1, IdempotencyKey.MaxLength)
        from characters in Gen.Elements(alphabet.ToCharArray()).ArrayOf(length)
        select new string(characters);

    private static bool ReadsAs(string value, string key) => IdempotencyKey.Parse(value, out var read, out _) == KeyParse.Ok && read == key;

    /// <summary>RFC 9651, section 4.1.6.</summary>
    private static string Quote(string key) =>
        $"\"{key.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";
}
