using Idempotency.Storage;

namespace Gateway.Tests.Storage;

/// <summary>A <see cref="MemoryStore"/> that is wrong in what its maker sets, and right in everything else.</summary>
internal sealed class DefectiveStore : MemoryStore
{
    private readonly Database _database;

    public DefectiveStore(Database database)
        : base(database)
    {
        _database = database;
        Clock = database.Clock;
    }

    /// <summary>Decides on a claim in place of <see cref="RecordRules"/>.</summary>
    public Func<StoredRecord?, ClaimRequest, long, (ClaimResult Result, RecordWrite Write)> OnClaim { get; init; } = (existing, claim, now) => RecordRules.Claim(existing, claim, now);

    public OwnerRule OnSettle { get; init; } = (existing, claim, now) => RecordRules.End(existing, claim, RecordState.Settled, now);

    public OwnerRule OnMarkUncertain { get; init; } = (existing, claim, now) => RecordRules.End(existing, claim, RecordState.Uncertain, now);

    public OwnerRule OnRelease { get; init; } = (existing, claim, now) => RecordRules.Release(existing, claim, now);

    public OwnerRule OnRenew { get; init; } = (existing, claim, now) => RecordRules.Renew(existing, claim, now);

    /// <summary>Of a claim: reads, and writes what it decided then, later.</summary>
    public bool ReadsThenWrites { get; init; }

    /// <summary>Whose time judges leases.</summary>
    public TimeProvider Clock { get; init; }

    /// <summary>Whether a row that is over is shown.</summary>
    public Func<Row, bool> ShowsOver { get; init; } = _ => false;

    /// <summary>Changes an answer before it is kept.</summary>
    public Func<byte[], byte[]> Answer { get; init; } = answer => answer;

    /// <summary>Changes a row before it is kept: what it was, what was to be written, what would be right.</summary>
    public Func<Row, RecordWrite, Row, Row> Kept { get; init; } = (_, _, right) => right;

    /// <summary>Of an end that is announced: whether the claim was watched.</summary>
    public Func<bool, bool> Announces { get; init; } = isWatched => isWatched;

    public Func<IReadOnlyList<WriteResult>, IReadOnlyList<WriteResult>> Renewed { get; init; } = results => results;

    /// <summary>Before a record is looked at.</summary>
    public Func<MemoryStore, RecordId, Task> BeforeWatch { get; init; } = (_, _) => Task.CompletedTask;

    public Func<IReadOnlyList<UncertainRecord>, int, IReadOnlyList<UncertainRecord>> Found { get; init; } = (found, _) => found;

    public Func<UncertainPart, UncertainPart> Walked { get; init; } = part => part;

    /// <summary>In place of what is right.</summary>
    public Func<MemoryStore, RecordId, bool>? OnForget { get; init; }

    public Func<byte[], byte[]> Secret { get; init; } = secret => secret;

    public bool IsSilent { get; init; }

    public Action OnDispose { get; init; } = () => { };

    public delegate (WriteResult Result, RecordWrite Write) OwnerRule(StoredRecord? existing, ClaimRequest claim, long now);

    protected override long Now => Clock.GetUtcNow().ToUnixTimeMilliseconds();

    public override async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
    {
        if (!ReadsThenWrites)
        {
            return Decide(claim, (existing, now) => OnClaim(existing, claim, now));
        }

        var read = Decide<StoredRecord?>(claim, (existing, _) => (existing, new RecordWrite(RecordWriteKind.Nothing)));
        await Task.Delay(50, cancellationToken);
        return Decide(claim, (_, now) => OnClaim(read, claim, now));
    }

    public override ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => OnSettle(existing, claim, now), Answer(answer.ToArray())));

    public override ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => OnMarkUncertain(existing, claim, now)));

    public override ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
        new(End(claim, (existing, now) => OnRelease(existing, claim, now)));

    public override ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) =>
        new(Renewed([.. claims.Select(claim => Decide(claim, (existing, now) => OnRenew(existing, claim, now)))]));

    public override async ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken)
    {
        await BeforeWatch(this, id);
        return await base.WatchAsync(id, cancellationToken);
    }

    public override async ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken) =>
        Found(await base.FindUncertainAsync(max, cancellationToken), max);

    public override async ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => Walked(await base.WalkUncertainAsync(max, cancellationToken));

    public override ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken) =>
        OnForget is null ? base.ForgetAsync(id, cancellationToken) : new(OnForget(this, id));

    public override async ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => Secret(await base.GetSecretAsync(cancellationToken));

    public override ValueTask PingAsync(CancellationToken cancellationToken) => IsSilent ? throw new StoreUnavailableException("silent") : default;

    public override ValueTask DisposeAsync()
    {
        OnDispose();
        return base.DisposeAsync();
    }

    protected override Row Written(Row row, RecordWrite write, ReadOnlyMemory<byte> answer) =>
        Kept(row, write, base.Written(row, write, answer.IsEmpty ? row.Record.Answer : answer));

    protected override Row? Find(RecordId id) => base.Find(id) ?? (_database.GetValueOrDefault(id) is { } row && ShowsOver(row) ? row : null);

    protected override void Ended(RecordId id, bool isWatched) => base.Ended(id, Announces(isWatched));
}
