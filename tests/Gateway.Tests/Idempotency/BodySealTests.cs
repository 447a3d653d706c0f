using System.Security.Cryptography;
using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class BodySealTests
{
    private static readonly byte[] Body = Encoding.ASCII.GetBytes("the words of an answer that is kept apart from its record");
    private static readonly byte[] OldKey = RandomNumberGenerator.GetBytes(32);
    private static readonly byte[] NewKey = RandomNumberGenerator.GetBytes(32);

    private readonly RecordId _id = NewId();
    private readonly BodyReference _reference = new(ClaimToken.Create(), Body.Length, BodySeal.HashOf(Body));

    [Theory]
    [InlineData(null)]
    [InlineData("old")]
    public void WhatWasWritten_IsReadAgain_AndNothingElseIs(string? key)
    {
        var seal = Seal(key);
        var value = seal.Write(_id, _reference, Body);

        Assert.Equal(seal.SizeOf(Body.Length), value.Length);
        Assert.True(seal.TryRead(_id, _reference, value, out var read));
        Assert.Equal(Body, read.ToArray());
        for (var i = 0; i < value.Length; i++)
        {
            byte[] edited = [.. value];
            edited[i] ^= 0x01;
            Assert.False(seal.TryRead(_id, _reference, edited, out _));
            Assert.False(seal.TryRead(_id, _reference, value[..i], out _));
        }

        Assert.False(seal.TryRead(_id, _reference, [.. value, 0], out _));
        Assert.False(seal.TryRead(_id, _reference with { Length = Body.Length - 1 }, value, out _));
        Assert.False(seal.TryRead(_id, _reference with { Hash = default }, value, out _));
    }

    [Fact]
    public void ASealedBody_IsBoundToRecordTokenAndLength_AndCannotBeRead()
    {
        var value = Seal("old").Write(_id, _reference, Body);

        Assert.DoesNotContain("words", Encoding.ASCII.GetString(value), StringComparison.Ordinal);
        Assert.False(Seal("old").TryRead(NewId(), _reference, value, out _));
        Assert.False(Seal("old").TryRead(_id, _reference with { Token = ClaimToken.Create() }, value, out _));
        Assert.False(Seal("new").TryRead(_id, _reference, value, out _));
        Assert.True(Seal("new", "old").TryRead(_id, _reference, value, out _));
        Assert.False(Seal(null).TryRead(_id, _reference, value, out _));
    }

    [Fact]
    public void ABodyWithoutASeal_IsUsedWhereThatIsSaid()
    {
        var plain = Seal(null).Write(_id, _reference, Body);

        Assert.False(Seal("old").TryRead(_id, _reference, plain, out _));
        Assert.True(Seal("old", acceptUnsealed: true).TryRead(_id, _reference, plain, out _));
    }

    [Fact]
    public void AnEmptyBody_IsNotTheWordForNone()
    {
        var empty = new BodyReference(_reference.Token, 0, BodySeal.HashOf([]));

        Assert.True(Seal("old").TryRead(_id, empty, Seal("old").Write(_id, empty, []), out _));
        Assert.False(Seal("old").TryRead(_id, empty, [], out _));
        Assert.False(Seal("old").TryRead(_id, empty, [0xE1, 3, 1], out _));
    }

    private static BodySeal Seal(string? active, string? other = null, bool acceptUnsealed = false)
    {
        var ring = new[] { active, other }.OfType<string>().ToDictionary(id => id, id => id == "old" ? OldKey : NewKey);
        return new BodySeal(SettingsOf.Encryption(active is null ? null : new EncryptionSettings(active, ring, acceptUnsealed)));
    }

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));
}
