using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Security.Cryptography;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>Several who ask for a body at the same time.</summary>
public sealed class AnswersApartFetchTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly SlowCache _cache = new();
    private readonly AnswersServer _server;
    private readonly AnswersApart _apart;

    public AnswersApartFetchTests()
    {
        var settings = SettingsOf.Secret("a secret of more than thirty-two characters");
        var budget = new BufferBudget(new LimitSettings(), new IdempotencyMetrics(_services.GetRequiredService<IMeterFactory>()));
        _server = new AnswersServer(_cache, "there", budget, TimeProvider.System, NullLogger<AnswersServer>.Instance);
        _apart = new AnswersApart(new StoreSettings(), new RecordIds(settings, store: null!), new BodySeal(settings), _server);
    }

    public void Dispose()
    {
        _server.Dispose();
        _services.Dispose();
    }

    [Fact]
    public async Task OneBody_IsFetchedOnce()
    {
        var (id, reference) = (NewId(), NewReference());

        var fetches = Enumerable.Range(0, 5).Select(_ => _apart.ReadAsync(id, reference)).ToList();
        _cache.Release.SetResult();
        await Task.WhenAll(fetches);

        Assert.Single(_cache.Asked);
    }

    /// <summary>Two records with one reference, such as a row that was copied by hand: each gets what stands under its own name.</summary>
    [Fact]
    public async Task TheBodyOfAnotherRecord_IsAnother_WhateverItsReference()
    {
        var reference = NewReference();

        var fetches = Enumerable.Range(0, 2).Select(_ => _apart.ReadAsync(NewId(), reference)).ToList();
        _cache.Release.SetResult();
        await Task.WhenAll(fetches);

        Assert.Equal(2, _cache.Asked.Distinct().Count());
    }

    private static RecordId NewId() => new(Digest.From(RandomNumberGenerator.GetBytes(Digest.Size)));

    private static BodyReference NewReference() => new(ClaimToken.Create(), 3, BodySeal.HashOf([1, 2, 3]));

    /// <summary>Has nothing, and says so when it is released.</summary>
    private sealed class SlowCache : IDistributedCache
    {
        public ConcurrentQueue<string> Asked { get; } = new();

        public TaskCompletionSource Release { get; } = new();

        public async Task<byte[]?> GetAsync(string key, CancellationToken token = default)
        {
            Asked.Enqueue(key);
            await Release.Task;
            return null;
        }

        public byte[]? Get(string key) => throw new NotSupportedException();

        public void Set(string key, byte[] value, DistributedCacheEntryOptions options) => throw new NotSupportedException();

        public Task SetAsync(string key, byte[] value, DistributedCacheEntryOptions options, CancellationToken token = default) => throw new NotSupportedException();

        public void Refresh(string key) => throw new NotSupportedException();

        public Task RefreshAsync(string key, CancellationToken token = default) => throw new NotSupportedException();

        public void Remove(string key) => throw new NotSupportedException();

        public Task RemoveAsync(string key, CancellationToken token = default) => throw new NotSupportedException();
    }
}
