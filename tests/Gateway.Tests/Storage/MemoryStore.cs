using System.Collections.Concurrent;
using System.Security.Cryptography;
using Idempotency.Storage;

namespace Gateway.Tests.Storage;

/// <summary>
/// A store in memory, as somebody else would write one: only with what is public. What is virtual is where <see cref="DefectiveStore"/> breaks it.
/// </summary>
/// <param name="database">What all instances share, with the clock that judges leases.</param>
internal class MemoryStore(MemoryStore.Database database) : IIdempotencyStore
{
    private readonly ConcurrentDictionary<RecordId, bool> _watched = new();
    private string? _foundTo;
    private string? _walkedTo;

    public event Action<RecordId>? Changed;

    public event Action<RecordId>? Forgotten;

    public string Description => "Memory";

    /// <summary>The time that judges leases.</summary>
    protected virtual long Now => database.Clock.GetUtcNow().ToUnixTimeMilliseconds();

    public virtual ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        new(Decide(claim, (existing, now) => RecordRules.Claim(existing, claim, now)));

    public virtual ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => RecordRules.End(existing, claim, RecordState.Settled, now), answer));

    public virtual ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => RecordRules.End(existing, claim, RecordState.Uncertain, now)));

    public virtual ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => RecordRules.Release(existing, claim, now)));

    public virtual ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        new([.. claims.Select(claim => Decide(claim, (existing, now) => RecordRules.Renew(existing, claim, now)))]);

    public virtual ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken)
    {
        lock (database)
        {
            ClaimResult? found = Find(id)?.Record is { IsForgotten: false } record ? record.ToResult(Now) : null;
            _ = found?.State == ClaimState.InProgress && (_watched[id] = true);
            return new(found);
        }
    }

    public virtual ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken)
    {
        var found = Uncertain(after: _foundTo).Where(row => !row.Probe.IsEmpty).Take(max).ToList();
        _foundTo = found.Count < max ? null : found[^1].Id.ToString();
        return new([.. found.Select(row => new UncertainRecord(
            row.Id, row.Record.Fingerprint, row.Record.Attempt, row.Probe, TimeSpan.FromMilliseconds(row.Record.ExpiresAt - Now)))]);
    }

    public virtual ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken)
    {
        var isFirst = _walkedTo is null;
        var found = Uncertain(after: _walkedTo).Take(max).ToList();
        _walkedTo = found.Count < max ? null : found[^1].Id.ToString();
        var marks = found.Select(row => new UncertainMark(row.Id, row.Record.State == RecordState.Uncertain, row.Record.ToResult(Now).Age));
        return new(new UncertainPart([.. marks], isFirst, IsLast: _walkedTo is null));
    }

    public virtual ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken)
    {
        lock (database)
        {
            if (Find(id) is not { } row || !RecordRules.MayForget(row.Record, Now))
            {
                return new(false);
            }

            var until = Now + (long)IIdempotencyStore.ForgottenFor.TotalMilliseconds;
            database[id] = new(id, row.Record with { State = RecordState.Uncertain, ExpiresAt = until, Answer = default, IsForgotten = true }, Probe: default);
        }

        _ = Task.Run(() => Forgotten?.Invoke(id), CancellationToken.None);
        Ended(id, isWatched: _watched.TryRemove(id, out _));
        return new(true);
    }

    public virtual ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => new(database.Secret);

    public virtual ValueTask PingAsync(CancellationToken cancellationToken) => default;

    public virtual ValueTask DisposeAsync() => default;

    /// <summary>One atomic step: reads, decides and writes.</summary>
    protected T Decide<T>(ClaimRequest claim, Func<StoredRecord?, long, (T Result, RecordWrite Write)> rule, ReadOnlyMemory<byte> answer = default)
    {
        lock (database)
        {
            var existing = Find(claim.Id);
            var (result, write) = rule(existing?.Record, Now);
            if (write.Kind == RecordWriteKind.Delete)
            {
                database.Remove(claim.Id);
            }
            else if (write.Kind != RecordWriteKind.Nothing)
            {
                var row = write.Kind == RecordWriteKind.Update ? existing! : new(claim.Id, new StoredRecord { Fingerprint = claim.Fingerprint }, claim.Probe);
                database[claim.Id] = Written(row, write, answer);
            }

            return result;
        }
    }

    protected WriteResult End(ClaimRequest claim, Func<StoredRecord?, long, (WriteResult, RecordWrite)> rule, ReadOnlyMemory<byte> answer = default)
    {
        var result = Decide(claim, rule, answer);
        Ended(claim.Id, isWatched: result is WriteResult.Done or WriteResult.Recreated && _watched.TryRemove(claim.Id, out _));
        return result;
    }

    /// <summary>The row with what was decided; when it is settled, the answer comes and the probe goes.</summary>
    protected virtual Row Written(Row row, RecordWrite write, ReadOnlyMemory<byte> answer) => new(
        row.Id,
        new StoredRecord(write.State, write.Token, row.Record.Fingerprint, write.LeaseUntil, write.ExpiresAt, answer.ToArray(), write.Attempt, IsForgotten: false),
        write.State == RecordState.Settled ? default : row.Probe);

    protected virtual Row? Find(RecordId id) => database.GetValueOrDefault(id) is { } row && row.Record.ExpiresAt > Now ? row : null;

    protected virtual void Ended(RecordId id, bool isWatched) => _ = isWatched ? Task.Run(() => Changed?.Invoke(id)) : null;

    private List<Row> Uncertain(string? after)
    {
        lock (database)
        {
            return [.. database.Values
                .Where(row => string.CompareOrdinal(row.Id.ToString(), after) > 0 && !row.Record.IsForgotten && row.Record.ExpiresAt > Now && row.Record.ToResult(Now).State == ClaimState.Uncertain)
                .OrderBy(row => row.Id.ToString(), StringComparer.Ordinal)];
        }
    }

    internal sealed record Row(RecordId Id, StoredRecord Record, ReadOnlyMemory<byte> Probe);

    internal sealed class Database(TimeProvider clock) : Dictionary<RecordId, Row>
    {
        public TimeProvider Clock => clock;

        public byte[] Secret { get; } = RandomNumberGenerator.GetBytes(Digest.Size);
    }
}
