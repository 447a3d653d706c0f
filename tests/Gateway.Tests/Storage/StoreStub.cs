using Idempotency.Storage;

namespace Gateway.Tests.Storage;

/// <summary>A store of which a test writes what it needs; everything else must not be asked.</summary>
internal abstract class StoreStub : IIdempotencyStore
{
#pragma warning disable CS0067 // nobody tells anything here
    public event Action<RecordId>? Changed;

    public event Action<RecordId>? Forgotten;
#pragma warning restore CS0067

    public string Description => "stub";

    public virtual ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public virtual ValueTask PingAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
