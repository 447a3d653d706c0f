using System.Security.Cryptography;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Sqlite;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

public sealed class NearCopiesTests : IAsyncLifetime
{
    private static readonly TimeSpan Day = TimeSpan.FromDays(1);

    private readonly string _folder = Directory.CreateTempSubdirectory("near-copies").FullName;
    private readonly FakeTimeProvider _time = new();
    private readonly EmbeddedStore _store;

    public NearCopiesTests()
    {
        _store = OpenStore(_folder);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _store.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void TheLeastRecentlyUsed_GoesFirst()
    {
        using var copies = Open(maxEntries: 2, maxBytes: 1_000_000);
        var (one, two, three) = (NewId(), NewId(), NewId());
        Add(copies, one, 1);
        Add(copies, two, 1);
        Assert.True(copies.TryFind(one, out _));

        Add(copies, three, 1);

        Assert.Equal([true, false, true], new[] { one, two, three }.Select(id => copies.TryFind(id, out _)));
    }

    /// <summary>It is counted here, and need not be counted again by whoever reads it: so its memory must not leave the account before it is free.</summary>
    [Fact]
    public void WhatIsRead_StaysAndCounts_UntilNobodyReadsIt()
    {
        using var copies = Open(maxEntries: 1000, maxBytes: 10_000);
        var (read, other) = (NewId(), NewId());
        Add(copies, read, 6000);
        Assert.True(copies.TryFind(read, out var found));
        Assert.Null(copies.Pin(other, found.Answer));
        Assert.Null(copies.Pin(read, found.Answer.ToArray()));

        using (copies.Pin(read, found.Answer[10..]))
        using (copies.Pin(read, found.Answer[10..]))
        {
            Add(copies, other, 6000);
            Assert.Equal((true, false), (copies.TryFind(read, out _), copies.TryFind(other, out _)));
            Add(copies, read, 6000); // the record anew: the old answer is still being read
            Assert.False(copies.TryFind(read, out _));
        }

        Add(copies, other, 6000);
        Assert.True(copies.TryFind(other, out _));
    }

    [Fact]
    public void TheirBytes_AreBounded()
    {
        using var copies = Open(maxEntries: 1000, maxBytes: 10_000);
        var ids = Enumerable.Range(0, 20).Select(_ => NewId()).ToList();
        ids.ForEach(id => Add(copies, id, 1000));

        var kept = ids.Select(id => copies.TryFind(id, out _)).ToList();
        Assert.InRange(kept.Count(isKept => isKept), 5, 10);
        Assert.True(kept[^1]);
        Assert.False(kept[0]);
        Add(copies, ids[0], 10_001);
        Assert.False(copies.TryFind(ids[0], out _));
        Assert.True(copies.TryFind(ids[^1], out _)); // what is too large makes no room for itself
    }

    [Fact]
    public void ThoseAddedAgain_AreCountedOnce()
    {
        using var copies = Open(maxEntries: 1000, maxBytes: 3000);
        var (one, two) = (NewId(), NewId());
        Add(copies, one, 1000);
        for (var i = 0; i < 10; i++)
        {
            Add(copies, two, 1000);
        }

        Assert.True(copies.TryFind(one, out _));
        Assert.True(copies.TryFind(two, out _));
    }

    [Fact]
    public void NoneOutlivesItsRetention_OrAMinute()
    {
        using var copies = Open(maxEntries: 10, maxBytes: 10_000);
        var (brief, forDays) = (NewId(), NewId());
        Add(copies, brief, 1, TimeSpan.FromSeconds(10));
        Add(copies, forDays, 1, Day);
        Add(copies, NewId(), 1, TimeSpan.Zero);

        _time.Advance(TimeSpan.FromSeconds(9.9));
        Assert.True(copies.TryFind(brief, out _));
        _time.Advance(TimeSpan.FromSeconds(0.1));
        Assert.False(copies.TryFind(brief, out _));
        Assert.True(copies.TryFind(forDays, out _));
        _time.Advance(TimeSpan.FromSeconds(50));
        Assert.False(copies.TryFind(forDays, out _));
    }

    [Fact]
    public void WithoutEntries_ThereAreNoCopies()
    {
        using var copies = Open(maxEntries: 0, maxBytes: 10_000);
        var id = NewId();
        Add(copies, id, 1);

        Assert.False(copies.TryFind(id, out _));
    }

    [Fact]
    public void WhatIsThereAlready_OrTooLarge_IsNotWanted()
    {
        using var copies = Open(maxEntries: 10, maxBytes: 10_000);
        var id = NewId();

        Assert.Equal((true, false), (copies.Wants(id, 1000), copies.Wants(id, 10_001)));
        Add(copies, id, 1000);
        Assert.False(copies.Wants(id, 1000));
        _time.Advance(TimeSpan.FromMinutes(1));
        Assert.True(copies.Wants(id, 1000));
    }

    [Fact]
    public async Task ADeletedRecord_HasNoCopy()
    {
        using var copies = Open(maxEntries: 10, maxBytes: 10_000);
        var (claim, other) = (new ClaimRequest(NewId(), ClaimToken.Create(), default, TimeSpan.FromMinutes(1), Day), NewId());
        await _store.ClaimAsync(claim, default);
        await _store.SettleAsync(claim, new byte[] { 1 }, default);
        Add(copies, claim.Id, 1);
        Add(copies, other, 1);

        await _store.ForgetAsync(claim.Id, default);

        await Eventually.TrueAsync(() => !copies.TryFind(claim.Id, out _), "the copy is gone");
        Assert.True(copies.TryFind(other, out _));
    }

    private static EmbeddedStore OpenStore(string folder) =>
        new(new StoreSettings { Embedded = new() { Path = Path.Combine(folder, "x.db") } }, TimeProvider.System, NullLogger<EmbeddedStore>.Instance);

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    private NearCopies Open(int maxEntries, long maxBytes) =>
        new(SettingsOf.NearCopy(new NearCopySettings { MaxEntries = maxEntries, MaxBytes = maxBytes }), _store, _time);

    private void Add(NearCopies copies, RecordId id, int size, TimeSpan? lives = null) =>
        copies.Add(id, default, new byte[size], _time.GetTimestamp(), lives ?? Day);
}
