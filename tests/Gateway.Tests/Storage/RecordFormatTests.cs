using System.Text;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class RecordFormatTests
{
    /// <summary>The bytes of version 1, for good: a later release must read what this one wrote.</summary>
    private const string GoldenVersion1 =
        "01" + "00" + "00c9" + "0001020304050607" + "0002" +
        "0008" + "4c6f636174696f6e" + "00000007" + "2f6974656d2f31" +
        "0001" + "58" + "00000001" + "e9" +
        "00000004" + "00ff7b7d" + "12a4a635";

    /// <summary>The bytes of version 2, for good: of an answer whose body is kept apart. The checksum was computed by another program.</summary>
    private const string GoldenVersion2 =
        "02" + "00" + "00c9" + "0001020304050607" + "0002" +
        "0008" + "4c6f636174696f6e" + "00000007" + "2f6974656d2f31" +
        "0001" + "58" + "00000001" + "e9" +
        "000186a0" + "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" + "404142434445464748494a4b4c4d4e4f" + "19cade7e";

    private static readonly RecordId Id = new(Digest.From([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));

    private static readonly StoredResponse Response = new(
        201, [new("Location", "/item/1"), new("X", "\u00e9")], new byte[] { 0, 0xff, (byte)'{', (byte)'}' });

    private static readonly StoredResponse Apart = Response with
    {
        Body = default,
        Apart = new BodyReference(
            ClaimToken.From([.. Enumerable.Range(64, 16).Select(i => (byte)i)]), 100_000, Digest.From([.. Enumerable.Range(32, 32).Select(i => (byte)i)])),
    };

    [Fact]
    public void GoldenBytes_OfVersion2_AreWritten_ForABodyThatIsKeptApart() =>
        Assert.Equal(GoldenVersion2, Convert.ToHexStringLower(RecordFormat.Write(Id, Apart)));

    [Fact]
    public void GoldenBytes_OfVersion2_AreRead()
    {
        Assert.Equal(RecordParse.Ok, RecordFormat.TryRead(Id, Convert.FromHexString(GoldenVersion2), out var read));

        Assert.Equal((Apart.Status, Apart.Apart, Apart.Tombstone), (read.Status, read.Apart, read.Tombstone));
        Assert.Equal(Apart.Headers, read.Headers);
        Assert.Equal(0, read.Body.Length);
    }

    [Fact]
    public void GoldenBytes_OfVersion1_AreWritten() =>
        Assert.Equal(GoldenVersion1, Convert.ToHexStringLower(RecordFormat.Write(Id, Response)));

    [Fact]
    public void GoldenBytes_OfVersion1_AreRead()
    {
        Assert.Equal(RecordParse.Ok, RecordFormat.TryRead(Id, Convert.FromHexString(GoldenVersion1), out var read));

        Assert.Equal(Response.Status, read.Status);
        Assert.Equal(Response.Headers, read.Headers);
        Assert.Equal(Response.Body.ToArray(), read.Body.ToArray());
        Assert.Equal(TombstoneReason.None, read.Tombstone);
    }

    [Fact]
    public void TheShortestRecord_HasNeitherHeadersNorABody()
    {
        var bytes = RecordFormat.Write(Id, new StoredResponse(204, [], default));

        Assert.Equal(RecordParse.Ok, RecordFormat.TryRead(Id, bytes, out var read));
        Assert.Equal((22, 204, 0, 0), (bytes.Length, read.Status, read.Headers.Count, read.Body.Length));
    }

    [Fact]
    public void AnUnknownVersion_IsToldApartFromDamage()
    {
        var bytes = RecordFormat.Write(Id, Response);
        bytes[0] = 3;

        Assert.Equal(RecordParse.UnknownVersion, RecordFormat.TryRead(Id, bytes, out _));
    }

    [Fact]
    public void ARecordOfAnotherKey_IsNotUsed()
    {
        var other = new RecordId(Digest.From(new byte[32]));

        Assert.Equal(RecordParse.WrongRecord, RecordFormat.TryRead(other, RecordFormat.Write(Id, Response), out _));
    }

    [Theory]
    [InlineData(GoldenVersion1)]
    [InlineData(GoldenVersion2)]
    public void EveryFlippedBit_IsNoticed(string golden)
    {
        var bytes = Convert.FromHexString(golden);
        for (var bit = 0; bit < bytes.Length * 8; bit++)
        {
            var damaged = (byte[])bytes.Clone();
            damaged[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(RecordParse.Ok, RecordFormat.TryRead(Id, damaged, out _));
        }
    }

    [Theory]
    [InlineData(GoldenVersion1)]
    [InlineData(GoldenVersion2)]
    public void EveryCutLength_IsNoticed(string golden)
    {
        var bytes = Convert.FromHexString(golden);
        for (var length = 0; length < bytes.Length; length++)
        {
            Assert.NotEqual(RecordParse.Ok, RecordFormat.TryRead(Id, bytes.AsMemory(0, length), out _));
        }
    }

    [Fact]
    public void ATombstone_KeepsStatusAndHeaders()
    {
        var tombstone = new StoredResponse(200, [new("Location", "/x")], default, TombstoneReason.TooLarge);

        Assert.Equal(RecordParse.Ok, RecordFormat.TryRead(Id, RecordFormat.Write(Id, tombstone), out var read));

        Assert.Equal(TombstoneReason.TooLarge, read.Tombstone);
        Assert.Equal(200, read.Status);
        Assert.Equal("/x", read.Headers[0].Value);
        Assert.Equal("", Encoding.ASCII.GetString(read.Body.Span));
    }
}
