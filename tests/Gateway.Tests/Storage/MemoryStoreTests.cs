using Idempotency.Storage;
using Microsoft.Extensions.Time.Testing;

namespace Gateway.Tests.Storage;

/// <summary>The contract, held by a store that is written in this project as others would write theirs.</summary>
public sealed class MemoryStoreTests : StoreContractTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly MemoryStore.Database _database;

    public MemoryStoreTests()
    {
        _database = new MemoryStore.Database(_time);
    }

    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => Task.FromResult<IIdempotencyStore>(new MemoryStore(_database));

    protected override Task WaitAsync(TimeSpan time)
    {
        _time.Advance(time);
        return Task.CompletedTask;
    }
}
