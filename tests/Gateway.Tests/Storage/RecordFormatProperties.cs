using System.Buffers.Binary;
using FsCheck;
using FsCheck.Fluent;
using Idempotency.Storage;
using Idempotency.Yarp;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>What holds of every record, and of bytes that are none.</summary>
public sealed class RecordFormatProperties
{
    private const int ChecksumSize = 4;

    private static readonly Config Thorough = Config.QuickThrowOnFailure.WithMaxTest(2000);

    /// <summary>Where the id is: record bytes 4 to 11.</summary>
    private static readonly RecordId Id = new(Digest.From([.. Enumerable.Range(0, 32).Select(i => (byte)i)]));

    private static Gen<byte[]> Bytes { get; } =
        from length in Gen.Choose(0, 200)
        from bytes in ArbMap.Default.GeneratorFor<byte>().ArrayOf(length)
        select bytes;

    private static Gen<string> Text { get; } = Bytes.Select(System.Text.Encoding.Latin1.GetString);

    private static Gen<StoredResponse> Responses { get; } =
        from status in Gen.Choose(100, 999)
        from names in Text.ListOf()
        from values in Text.ListOf(names.Count)
        from body in Bytes
        from reason in Gen.Elements(Enum.GetValues<TombstoneReason>())
        from length in Gen.OneOf(Gen.Choose(0, int.MaxValue), Gen.Constant(-1))
        let headers = (List<KeyValuePair<string, string>>)[.. names.Zip(values, KeyValuePair.Create)]
        select length < 0
            ? new StoredResponse(status, headers, body, reason)
            : new StoredResponse(status, headers, default, Apart: new BodyReference(ClaimToken.Create(), length, BodySeal.HashOf(body)));

    [Fact]
    public void EveryResponse_IsReadAsItWasWritten() => Check(Responses, response =>
        RecordFormat.TryRead(Id, RecordFormat.Write(Id, response), out var read) == RecordParse.Ok
        && (read.Status, read.Tombstone, read.Apart) == (response.Status, response.Tombstone, response.Apart)
        && read.Headers.SequenceEqual(response.Headers)
        && read.Body.Span.SequenceEqual(response.Body.Span));

    [Fact]
    public void TheChecksumOfTheseTests_IsTheOneOfTheFormat()
    {
        var record = RecordFormat.Write(Id, new StoredResponse(200, [], default));

        Assert.Equal(record, Sealed(record[..^ChecksumSize]));
    }

    [Fact]
    public void AnyBytes_AreNotARecord() => Check(Bytes, bytes => RecordFormat.TryRead(Id, bytes, out _) != RecordParse.Ok);

    // The checksum is right, so that every length inside is believed and followed.
    [Fact]
    public void BytesWithARightChecksum_AreRefused_OrAreWhatTheirResponseIsWrittenAs() => Check(
        Bytes.Select(bytes => Sealed([(byte)(1 + (bytes.Length % 2)), (byte)(bytes.Length % 9), 0, 200, 0, 1, 2, 3, 4, 5, 6, 7, 0, (byte)(bytes.Length % 3), .. bytes])),
        IsRefusedOrCanonical);

    [Fact]
    public void ARecordWithAnyChange_AndARightChecksum_IsRefused_OrIsWhatItsResponseIsWrittenAs() => Check(
        from response in Responses
        let record = RecordFormat.Write(Id, response)
        from changed in Changed(record)
        select Sealed(changed[..^Math.Min(changed.Length, ChecksumSize)]),
        IsRefusedOrCanonical);

    [Fact]
    public void ARecordWithAnyChange_IsNotTakenForAnother() => Check(
        from response in Responses
        let record = RecordFormat.Write(Id, response)
        from changed in Changed(record)
        select (record, changed),
        one => one.record.AsSpan().SequenceEqual(one.changed) || RecordFormat.TryRead(Id, one.changed, out _) != RecordParse.Ok);

    /// <summary>A part of it overwritten, cut out, or put in twice; or its end cut off.</summary>
    private static Gen<byte[]> Changed(byte[] record) =>
        from start in Gen.Choose(0, record.Length - 1)
        from length in Gen.Choose(1, Math.Min(8, record.Length - start))
        from garbage in ArbMap.Default.GeneratorFor<byte>().ArrayOf(length)
        from change in Gen.Choose(0, 3)
        select (byte[])(change switch
        {
            0 => [.. record[..start], .. garbage, .. record[(start + length)..]],
            1 => [.. record[..start], .. record[(start + length)..]],
            2 => [.. record[..(start + length)], .. record[start..]],
            _ => record[..start],
        });

    private static byte[] Sealed(byte[] bytes)
    {
        var checksum = new byte[ChecksumSize];
        BinaryPrimitives.WriteUInt32BigEndian(checksum, Crc32(bytes));
        return [.. bytes, .. checksum];
    }

    private static uint Crc32(byte[] bytes)
    {
        var rest = uint.MaxValue;
        foreach (var value in bytes)
        {
            rest ^= value;
            for (var bit = 0; bit < 8; bit++)
            {
                rest = (rest >> 1) ^ ((rest & 1) * 0xEDB88320);
            }
        }

        return ~rest;
    }

    private static bool IsRefusedOrCanonical(byte[] bytes) =>
        RecordFormat.TryRead(Id, bytes, out var read) != RecordParse.Ok || RecordFormat.Write(Id, read).AsSpan().SequenceEqual(bytes);

    private static void Check<T>(Gen<T> cases, Func<T, bool> holds) => Prop.ForAll(cases.ToArbitrary(), holds).Check(Thorough);
}
