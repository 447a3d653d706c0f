using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using System.Text;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class RecordSealTests
{
    private static readonly byte[] OldKey = RandomNumberGenerator.GetBytes(32);
    private static readonly byte[] NewKey = RandomNumberGenerator.GetBytes(32);
    private static readonly StoredResponse Answer = new(201, [new("Location", "/orders/1")], "a secret text"u8.ToArray());

    private readonly RecordId _id = NewId();

    [Fact]
    public void WhatWasSealed_IsReadAgain_AndCannotBeReadInTheStore()
    {
        var bytes = Seal("old").Write(_id, Answer);

        Assert.Equal(RecordParse.Ok, Seal("old").TryRead(_id, bytes, out var read));
        Assert.Equal((Answer.Status, Answer.Headers[0]), (read.Status, read.Headers[0]));
        Assert.Equal(Answer.Body.ToArray(), read.Body.ToArray());
        Assert.DoesNotContain("secret", Encoding.Latin1.GetString(bytes), StringComparison.Ordinal);
        Assert.NotEqual(bytes, Seal("old").Write(_id, Answer)); // a nonce of its own
    }

    [Fact]
    public void EveryFlippedByte_AndEveryCut_IsNoticed()
    {
        var seal = Seal("old");
        var bytes = seal.Write(_id, Answer);
        for (var i = 0; i < bytes.Length; i++)
        {
            byte[] edited = [.. bytes];
            edited[i] ^= 0x01;
            Assert.NotEqual(RecordParse.Ok, seal.TryRead(_id, edited, out _));
            Assert.NotEqual(RecordParse.Ok, seal.TryRead(_id, bytes.AsMemory(0, i), out _));
        }

        Assert.Equal(RecordParse.Forged, seal.TryRead(_id, Flipped(bytes, bytes.Length / 2), out _));
        Assert.Equal(RecordParse.NotSealed, seal.TryRead(_id, Flipped(bytes, 0), out _));
        Assert.Equal(RecordParse.UnknownKey, seal.TryRead(_id, Flipped(bytes, 2), out _));
    }

    [Fact]
    public void AnAnswerUnderAnotherRecord_IsForged() =>
        Assert.Equal(RecordParse.Forged, Seal("old").TryRead(NewId(), Seal("old").Write(_id, Answer), out _));

    [Fact]
    public void TheKeysIdIsSealedIn()
    {
        // Two ids of the same key: only the name differs.
        var ring = new Dictionary<string, byte[]> { ["a"] = OldKey, ["b"] = OldKey };
        var seal = new RecordSeal(SettingsOf.Encryption(new EncryptionSettings("a", ring, AcceptUnsealed: false)));
        var bytes = seal.Write(_id, Answer);
        bytes[2] = (byte)'b';

        Assert.Equal(RecordParse.Forged, seal.TryRead(_id, bytes, out _));
    }

    [Fact]
    public void AfterARotation_OldAnswersAreReadAsLongAsTheirKeyIsThere()
    {
        var old = Seal("old").Write(_id, Answer);

        Assert.Equal(RecordParse.Ok, Seal("new", "old", "new").TryRead(_id, old, out _));
        Assert.Equal(RecordParse.UnknownKey, Seal("new").TryRead(_id, old, out _));
        Assert.Equal(RecordParse.Ok, Seal("new").TryRead(_id, Seal("new", "old", "new").Write(_id, Answer), out _));
        Assert.Equal(RecordParse.UnknownKey, new RecordSeal(SettingsOf.Encryption(null)).TryRead(_id, old, out _));
    }

    [Theory]
    [InlineData(false, RecordParse.NotSealed)]
    [InlineData(true, RecordParse.Ok)]
    internal void AnAnswerWithoutASeal_IsUsedWhereThatIsSaid(bool acceptUnsealed, RecordParse expected)
    {
        var plain = new RecordSeal(SettingsOf.Encryption(null)).Write(_id, Answer);
        var seal = new RecordSeal(SettingsOf.Encryption(new EncryptionSettings("old", Ring("old"), acceptUnsealed)));

        Assert.Equal(expected, seal.TryRead(_id, plain, out _));
    }

    [Fact]
    public void RandomBytes_AreNeverAnAnswer()
    {
        foreach (var seal in new[] { Seal("old"), new RecordSeal(SettingsOf.Encryption(null)) })
        {
            for (var i = 0; i < 10_000; i++)
            {
                var bytes = RandomNumberGenerator.GetBytes(RandomNumberGenerator.GetInt32(64));
                if (bytes.Length > 0)
                {
                    bytes[0] = 0xE1;
                }

                Assert.NotEqual(RecordParse.Ok, seal.TryRead(_id, bytes, out _));
            }
        }
    }

    [Fact]
    public void AnAnswerThatCannotBeUsed_IsCounted_ByItsReason()
    {
        using var services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var journal = new RequestJournal(new IdempotencyMetrics(services.GetRequiredService<IMeterFactory>()), TimeProvider.System, NullLogger<RequestJournal>.Instance);
        using var counted = new MetricCollector<long>(services.GetRequiredService<IMeterFactory>(), IdempotencyMetrics.MeterName, "gateway.idempotency.unusable_records");
        var policy = new IdempotencyPolicy { Name = "payments" };
        var bytes = Seal("old").Write(_id, Answer);

        var records = new AnswerRecords(Seal("old"), apart: null!, journal); // no body is apart
        Decision Read(byte[] answer) => records.Read(policy, new FoundKey(
            new ClaimRequest(_id, ClaimToken.Create(), default, policy.Lease, policy.Retention), new ClaimResult(ClaimState.Settled, default, Answer: answer), default));

        var good = Read(bytes);
        var forged = Read(Flipped(bytes, bytes.Length - 1));

        Assert.Equal(201, Assert.IsType<Decision.Replay>(good).Answer.Status);
        Assert.Equal(Problem.StoreUnavailable, Assert.IsType<Decision.Refuse>(forged).Problem);
        Assert.Equal(1, Assert.Single(counted.GetMeasurementSnapshot()).Value);
        Assert.Single(counted.GetMeasurementSnapshot().ContainsTags(KeyValuePair.Create("policy", (object?)"payments"), KeyValuePair.Create("reason", (object?)"Forged")));
    }

    private static byte[] Flipped(byte[] bytes, int position)
    {
        byte[] edited = [.. bytes];
        edited[position] ^= 0x01;
        return edited;
    }

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    /// <param name="active">The key to seal with.</param>
    /// <param name="ring">All keys; only the active one when none is named.</param>
    private static RecordSeal Seal(string active, params string[] ring) =>
        new(SettingsOf.Encryption(new EncryptionSettings(active, Ring(ring.Length == 0 ? [active] : ring), AcceptUnsealed: false)));

    private static Dictionary<string, byte[]> Ring(params string[] ids) => ids.ToDictionary(id => id, id => id == "old" ? OldKey : NewKey);
}
