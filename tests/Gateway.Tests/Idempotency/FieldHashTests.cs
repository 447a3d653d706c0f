using System.Buffers;
using System.Security.Cryptography;
using FsCheck;
using FsCheck.Fluent;
using Idempotency.Storage;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class FieldHashTests
{
    [Fact]
    public void FieldsThatJoinToTheSameText_DoNotMeet()
    {
        Assert.NotEqual(Hash("ab", "c"), Hash("a", "bc"));
        Assert.NotEqual(Hash("abc"), Hash("abc", ""));
        Assert.NotEqual(Hash("", "abc"), Hash("abc", ""));
        Assert.Equal(Hash("ab", "c"), Hash("ab", "c"));
    }

    [Fact]
    public void TwoCutsOfOneText_DoNotMeet() => Prop.ForAll(
            (from text in Fields.Select(string.Concat)
             from one in Cuts(text)
             from other in Cuts(text)
             select (one, other)).ToArbitrary(),
            pair => pair.one.SequenceEqual(pair.other) == (Hash(pair.one) == Hash(pair.other)))
        .QuickCheckThrowOnFailure();

    [Fact]
    public void TwoSequences_MeetOnlyIfTheyAreEqual() => Prop.ForAll(
            Fields.ToArbitrary(), Fields.ToArbitrary(), (one, other) => one.SequenceEqual(other) == (Hash(one) == Hash(other)))
        .QuickCheckThrowOnFailure();

    /// <summary>Where fields go to when there are too many to gather changes nothing: digests are on record.</summary>
    [Theory]
    [InlineData(1, 10)]
    [InlineData(3, 63)]
    [InlineData(1000, 7)]
    [InlineData(5, 10_000)]
    public void WithASink_ItIsTheSameDigest(int fields, int length)
    {
        using var sink = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var gathered = new FieldHash(stackalloc byte[64]);
        var given = new FieldHash(stackalloc byte[64], sink);
        for (var i = 0; i < fields; i++)
        {
            var text = new string((char)('a' + (i % 26)), length - (i % 3));
            gathered.Add(text);
            given.Add(text);
            gathered.Add(i);
            given.Add(i);
        }

        Assert.Equal(gathered.Sha256(), given.Sha256());
    }

    [Fact]
    public void ANumberAndItsText_DoNotMeet()
    {
        var number = new FieldHash(stackalloc byte[64]);
        number.Add(0x61626364);
        var text = new FieldHash(stackalloc byte[64]);
        text.Add("abc");

        Assert.NotEqual(number.Sha256(), text.Sha256());
    }

    [Fact]
    public void FieldsLargerThanTheFirstBuffer_HashAlike()
    {
        var large = new string('x', 10_000);

        Assert.Equal(Hash(size: 16, "a", large, "b"), Hash(size: 64 * 1024, "a", large, "b"));
        Assert.NotEqual(Hash("a", large, "b"), Hash("a", large + "b"));
    }

    /// <summary>Fields may be credentials: what they were gathered in is given back, and empty.</summary>
    [Fact]
    public void NothingIsLeft_InArraysThatOthersGet()
    {
        var pool = ArrayPool<byte>.Shared;
        var (first, second) = (pool.Rent(1024), pool.Rent(4096)); // the next ones of these sizes that this thread rents
        pool.Return(first);
        pool.Return(second);

        var hash = new FieldHash(stackalloc byte[64]);
        hash.Add(new string('x', 1000));
        hash.Add(new string('y', 3000));
        hash.Sha256();

        Assert.Same(first, pool.Rent(1024));
        Assert.Same(second, pool.Rent(4096));
        Assert.Equal((-1, -1), (first.AsSpan().IndexOfAnyExcept((byte)0), second.AsSpan().IndexOfAnyExcept((byte)0)));
    }

    [Fact]
    public void TheSecretMatters()
    {
        Assert.Equal(Hmac("secret"u8), Hmac("secret"u8));
        Assert.NotEqual(Hmac("secret"u8), Hmac("Secret"u8));

        static Digest Hmac(ReadOnlySpan<byte> secret)
        {
            var hash = new FieldHash(stackalloc byte[64]);
            hash.Add("abc");
            return hash.HmacSha256(secret);
        }
    }

    /// <summary>Few letters and short fields, so that near misses are common.</summary>
    private static Gen<string[]> Fields =>
        from count in Gen.Choose(0, 4)
        from fields in ShortText.ArrayOf(count)
        select fields;

    private static Gen<string> ShortText =>
        from length in Gen.Choose(0, 3)
        from characters in Gen.Elements('a', 'b', '\u0000', '\u0001').ArrayOf(length)
        select new string(characters);

    private static Gen<string[]> Cuts(string text) =>
        from at in Gen.Choose(0, text.Length)
        select new[] { text[..at], text[at..] };

    private static Digest Hash(params string[] fields) => Hash(size: 64, fields);

    private static Digest Hash(int size, params string[] fields)
    {
        var hash = new FieldHash(new byte[size]);
        foreach (var field in fields)
        {
            hash.Add(field);
        }

        return hash.Sha256();
    }
}
