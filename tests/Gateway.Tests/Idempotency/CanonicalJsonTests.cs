using System.Buffers;
using System.Globalization;
using System.Numerics;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Gateway.Tests.Chaos;
using Idempotency.Storage;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>What does not change the meaning of a JSON value does not change its digest, and everything else does.</summary>
public sealed class CanonicalJsonTests
{
    [Fact]
    public void OrderAndWritingOfAValue_DoNotMatter() => Prop.ForAll(
            (from value in Values(depth: 3) from seed in Gen.Choose(0, int.MaxValue) select (value, seed)).ToArbitrary(),
            pair => Hash(Write(pair.value, Dice.For((ulong)pair.seed, "json"))) == Hash(Write(pair.value, Dice.For(0, "json"))))
        .QuickCheckThrowOnFailure();

    [Fact]
    public void TwoValues_MeetOnlyIfTheyMeanTheSame() => Prop.ForAll(
            Values(depth: 2).ToArbitrary(),
            Values(depth: 2).ToArbitrary(),
            (one, other) => (Meaning(one) == Meaning(other)) == (Hash(Write(one, Dice.For(1, "json"))) == Hash(Write(other, Dice.For(2, "json")))))
        .QuickCheckThrowOnFailure();

    [Theory]
    [InlineData("""{"a":1,"b":[true,null,"x"]}""", """ { "b" : [ true , null , "\u0078" ] , "a" : 1.0 } """)]
    [InlineData("\"\\u00e9\\/\\n\"", "\"é/\\u000a\"")]
    [InlineData("\"\\ud83d\\ude00\"", "\"😀\"")]
    [InlineData("{}", " { } ")]
    public void TheSameValue_OtherwiseWritten(string one, string other) => Assert.Equal(Hash(one), Hash(other));

    [Theory]
    [InlineData("""{"a":1}""", """{"a":2}""")]
    [InlineData("""{"a":1}""", """{"A":1}""")]
    [InlineData("""{"a":1}""", """{"a":"1"}""")]
    [InlineData("""{"a":1}""", """{"a":1,"b":null}""")]
    [InlineData("""{"a":null}""", "{}")]
    [InlineData("""{"a":false}""", """{"a":null}""")]
    [InlineData("""{"a":{"b":1}}""", """{"a":{},"b":1}""")]
    [InlineData("[[1],2]", "[[1,2]]")]
    [InlineData("[1,2]", "[2,1]")]
    [InlineData("[]", "{}")]
    [InlineData("\"\"", "null")]
    [InlineData("\"\\u00e9\"", "\"e\\u0301\"")]
    [InlineData("9007199254740993", "9007199254740992")]
    [InlineData("0.1", "0.10000000000000000555")]
    [InlineData("1e400", "1e401")]
    [InlineData("1e99999999999", "1e99999999998")]
    public void AnotherValue(string one, string other) => Assert.NotEqual(Hash(one), Hash(other));

    [Theory]
    [InlineData("0", "0", "-0", "0.0", "0e5", "0E-7", "-0.00e99999999999")]
    [InlineData("1", "1", "1.0", "10e-1", "0.1e1", "1E0", "1e+0", "100e-2")]
    [InlineData("-120", "-120", "-12e1", "-1.20E2", "-1200.0e-1")]
    [InlineData("100000000000000000000", "1e20", "100000000000000000000", "1000E17")]
    [InlineData("1e21", "1000000000000000000000", "1e21", "0.1e22")]
    [InlineData("5e-7", "0.0000005", "5e-7", "0.5E-6", "50e-8")]
    [InlineData("9007199254740993", "9007199254740993", "9007199254740993.0", "9007199254740.993e3")]
    public void ANumber_HasOneText(string text, params string[] ways) => Assert.All(ways, way => Assert.Equal(text, CanonicalJson.Number(way)));

    [Theory]
    [InlineData("""{"sentAt":1,"a":2}""", """{"a":2}""", "/sentAt")]
    [InlineData("""{"a":[{"at":1,"b":2},3]}""", """{"a":[{"at":9,"b":2},3]}""", "/a/0/at")]
    [InlineData("""{"a/b":1,"c":2}""", """{"a/b":{"x":[]},"c":2}""", "/a~1b")]
    [InlineData("""{"a":[1,2]}""", """{"a":[9,2]}""", "/a/0")]
    [InlineData("[1,2,3]", "[1,9,3]", "/1")]
    public void WhatIsIgnored_MayDiffer(string one, string other, string place)
    {
        Assert.NotEqual(Hash(one), Hash(other));
        Assert.Equal(Hash(one, place), Hash(other, place));
    }

    [Theory]
    [InlineData("""{"a":{"sentAt":1}}""", """{"a":{"sentAt":2}}""", "/sentAt")]
    [InlineData("""{"sentAt":1,"a":1}""", """{"sentAt":1,"a":2}""", "/sentAt")]
    [InlineData("""{"a":{"b":1}}""", """{"a":{"b":2}}""", "/a/b/c")]
    [InlineData("""{"a":{"b":1}}""", """{"a":{"b":2}}""", "")]
    [InlineData("""[{"at":1},{"at":1}]""", """[{"at":1},{"at":2}]""", "/0/at")]
    public void WhatIsNotIgnored_MustNot(string one, string other, string place) => Assert.NotEqual(Hash(one, place), Hash(other, place));

    /// <summary>A body's names and values are not kept alive, nor seen, by whoever rents an array next.</summary>
    [Fact]
    public void NothingIsLeft_InArraysThatOthersGet()
    {
        var (names, values) = (ArrayPool<string>.Shared.Rent(3), ArrayPool<JsonElement>.Shared.Rent(3)); // the next ones that this thread rents
        ArrayPool<string>.Shared.Return(names);
        ArrayPool<JsonElement>.Shared.Return(values);

        Hash("""{"b":1,"a":2,"c":3}""");

        Assert.Same(names, ArrayPool<string>.Shared.Rent(3));
        Assert.Same(values, ArrayPool<JsonElement>.Shared.Rent(3));
        Assert.All(names, Assert.Null);
        Assert.All(values, value => Assert.Equal(JsonValueKind.Undefined, value.ValueKind));
    }

    private static Digest Hash(string json, params string[] ignore)
    {
        var hash = new FieldHash(stackalloc byte[64]);
        CanonicalJson.AddTo(ref hash, JsonElement.Parse(json), ignore);
        return hash.Sha256();
    }

    /// <summary>Of few names, letters and digits, so that near misses are common: null, booleans, text, numbers, lists and objects.</summary>
    private static Gen<object?> Values(int depth)
    {
        var scalars = Gen.OneOf(
            Gen.Elements<object?>(null, true, false),
            Gen.Elements<object?>("", "a", "1", "é", "\"\\\n", "😀"),
            from digits in Gen.Choose(-12, 12) from power in Gen.Choose(-2, 22) select (object?)new Number(digits, power));
        if (depth == 0)
        {
            return scalars;
        }

        var lists = from count in Gen.Choose(0, 3) from items in Values(depth - 1).ArrayOf(count) select (object?)items;
        var objects =
            from names in Gen.SubListOf("a", "b", "é", "")
            from values in Values(depth - 1).ArrayOf(names.Count)
            select (object?)names.Zip(values).ToDictionary(pair => pair.First, pair => pair.Second);
        return Gen.OneOf(scalars, lists, objects);
    }

    /// <summary>One text for each meaning, found by other means than the product's: exact fractions instead of trimmed digits.</summary>
    private static string Meaning(object? value) => value switch
    {
        null => "null",
        bool truth => $"{truth}",
        string text => $"'{Convert.ToHexString(Encoding.UTF8.GetBytes(text))}'",
        Number number => $"{number.InHundredths}",
        object?[] items => $"[{string.Join(',', items.Select(Meaning))}]",
        Dictionary<string, object?> members => $"{{{string.Join(',', members.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => Meaning(member.Key) + Meaning(member.Value)))}}}",
        _ => throw new ArgumentException($"{value}", nameof(value)),
    };

    /// <summary>In one of the many ways to write it.</summary>
    private static string Write(object? value, Dice dice) => Blank(dice) + value switch
    {
        null => "null",
        bool truth => truth ? "true" : "false",
        string text => WriteText(text, dice),
        Number number => number.Write(dice.Next(7) - 3),
        object?[] items => $"[{string.Join(',', items.Select(item => Write(item, dice)))}]",
        Dictionary<string, object?> members => $"{{{string.Join(',', Shuffled(members, dice).Select(member => $"{WriteText(member.Key, dice)}{Blank(dice)}:{Write(member.Value, dice)}"))}}}",
        _ => throw new ArgumentException($"{value}", nameof(value)),
    } + Blank(dice);

    private static IEnumerable<KeyValuePair<string, object?>> Shuffled(Dictionary<string, object?> members, Dice dice) =>
        members.Select(member => (Place: dice.Next(1000), member)).OrderBy(item => item.Place).Select(item => item.member);

    private static string WriteText(string text, Dice dice) =>
        $"\"{string.Concat(text.Select(c => c is '"' or '\\' or '\n' || dice.Next(2) == 0 || char.IsSurrogate(c) ? $"\\u{(int)c:x4}" : $"{c}"))}\"";

    private static string Blank(Dice dice) => dice.Next(3) switch { 0 => " ", 1 => "\r\n\t", _ => "" };

    private sealed record Number(int Digits, int Power)
    {
        public BigInteger InHundredths => Digits * BigInteger.Pow(10, Power + 2);

        /// <summary>With the point moved, and the exponent against it.</summary>
        public string Write(int by)
        {
            var digits = Math.Abs(Digits).ToString(CultureInfo.InvariantCulture);
            var mantissa = by switch
            {
                > 0 when Digits != 0 => digits + new string('0', by),
                < 0 when digits.PadLeft(1 - by, '0') is var padded => $"{padded[..(padded.Length + by)]}.{padded[(padded.Length + by)..]}",
                _ => digits,
            };
            return $"{(Digits < 0 ? "-" : "")}{mantissa}{(by % 2 == 0 ? "e" : "E+")}{Power - by}".Replace("+-", "-", StringComparison.Ordinal);
        }
    }
}
