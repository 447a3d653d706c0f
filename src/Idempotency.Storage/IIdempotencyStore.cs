namespace Idempotency.Storage;

/// <summary>
/// Where keys are claimed and answers kept. One instance serves a whole process, from many threads at a time. The contract, to which <c>StoreContractTests</c> of the
/// package <c>Idempotency.Storage.Testing</c> holds every store, but for what no test of a sound store can see (time limits, power loss, failover):
/// <list type="bullet">
/// <item>Every call is one atomic step, also between processes, and what was acknowledged is kept for the record's retention.</item>
/// <item>Claiming is idempotent by token: a claim whose reply was lost may be sent again and is recognised as its own.</item>
/// <item>Only the owner writes: settle, mark uncertain, release and renew compare the token before anything else.</item>
/// <item>The store's clock judges leases and retentions, never that of a process that asks. A claim whose lease ran out reads as <see cref="ClaimState.Uncertain"/>, never as absent;
/// its owner may still settle it, with the answer or, when it knows that nothing was sent, by release.</item>
/// <item>An uncertain record is taken over only by a claim that names its attempt and carries its fingerprint. The attempt counts up, and the
/// higher one wins: an owner of a lower one writes nothing (<see cref="WriteResult.TakenOver"/>), and the owner of a higher one writes over an
/// unsettled record of a lower one, because then the store lost the take-over.</item>
/// <item>A settled record never changes until its retention is over, and its answer comes back byte for byte, however large the policy lets it be. The retention counts
/// from the claim or its last renewal; neither settling nor anything that a duplicate does moves it. What is over reads as absent.</item>
/// <item>A write that finds no record puts it back, with the write applied: the store lost it, the owner knows better.</item>
/// <item>Every call ends within the configured timeout, by <see cref="StoreUnavailableException"/> if need be, and a claim
/// that the store executes after that time has no effect. That is the one exception for a store which cannot answer, whatever its client throws; and no answer
/// is never taken for "nothing is on record". A cancelled call throws <see cref="OperationCanceledException"/> and may have taken effect.</item>
/// </list>
/// </summary>
public interface IIdempotencyStore : IAsyncDisposable
{
    /// <summary>
    /// How long a deleted record keeps late writes of its owner out: the longest lease that a policy may have. A new claim of the key ends
    /// it early; then the owner is <see cref="WriteResult.Foreign"/>.
    /// </summary>
    static readonly TimeSpan ForgottenFor = TimeSpan.FromHours(1);

    /// <summary>
    /// A watched record was settled, marked uncertain, released or deleted, by this instance or, best effort, another one (not of SQLite). Callers
    /// also poll. Raised on a pool thread, now and then twice; a handler must not throw.
    /// </summary>
    event Action<RecordId>? Changed;

    /// <summary>An operator deleted a record, at this instance or, best effort, another one (not of SQLite). As <see cref="Changed"/>.</summary>
    event Action<RecordId>? Forgotten;

    /// <summary>For banners and logs, without credentials: <c>Embedded (data/idempotency.db)</c>.</summary>
    string Description { get; }

    /// <summary>Claims the key, takes over the attempt that the claim names, or returns what is on record.</summary>
    /// <param name="claim">The caller's.</param>
    /// <param name="cancellationToken">The caller has no use for the result any more.</param>
    /// <exception cref="StoreUnavailableException">No answer in time. Where the claim may stand, <see cref="StoreUnavailableException.MayHaveTakenEffect"/> must be true: it is released in the background.</exception>
    ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken);

    /// <summary>Settles the claim with an answer.</summary>
    /// <param name="claim">The owner's.</param>
    /// <param name="answer">Opaque bytes, at least one. As large as <c>Response:MaxBodyBytes</c> of the policies (1 MiB by default) and the header fields of an answer.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; the caller may settle again, which is harmless.</exception>
    ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken);

    /// <summary>Marks the claim uncertain: the request was sent and no usable answer came.</summary>
    /// <param name="claim">The owner's.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken);

    /// <summary>
    /// Frees a claimed key whose request provably never reached the backend. Not for settled or uncertain records. A claim that was taken over
    /// goes back to uncertain: an earlier attempt may have been executed.
    /// </summary>
    /// <param name="claim">The owner's.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken);

    /// <summary>
    /// Restarts the leases of claims that this process still works on. Results stand in the order of <paramref name="claims"/>;
    /// <see cref="WriteResult.Unknown"/> for those without an answer.
    /// </summary>
    /// <param name="claims">The owner's, up to a thousand. Each is a step of its own: not all or nothing.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time for any of them; may be repeated.</exception>
    ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken);

    /// <summary>What is on record now, without claiming it; null when nothing is. The next end of a claim in progress raises <see cref="Changed"/>.</summary>
    /// <param name="id">Of the record.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken);

    /// <summary>
    /// Some records with a probe that are uncertain now. A call looks at a part of the store only and may find none; repeated calls reach
    /// every record, also those that stay uncertain.
    /// </summary>
    /// <param name="max">How many at most.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken);

    /// <summary>
    /// What is uncertain, with and without a probe, in the next part of the store. Nothing leads to records without a probe: for that, every request
    /// would have to write more. A call reads at most about <paramref name="max"/> records of any kind, and goes on behind those of the call before.
    /// A record may be met twice in a round. For one caller at a time.
    /// </summary>
    /// <param name="max">How many records to read, about.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time, or a part of the store is not there; may be repeated, and goes on where it was.</exception>
    ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken);

    /// <summary>
    /// Deletes a settled or uncertain record for an operator, and raises <see cref="Forgotten"/> here and, best effort, at every other instance; one that misses it replays for up to a minute more. Late writes of its owner do not
    /// bring it back (<see cref="ForgottenFor"/>).
    /// </summary>
    /// <param name="id">Of the record.</param>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <returns>False when nothing is on record, or a claim whose lease is running.</returns>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken);

    /// <summary>
    /// Returns the secret of <see cref="RecordId"/> that all instances share, 32 bytes of a cryptographic generator; the store makes one when there is none. Asked for every
    /// request, so the store remembers it; it changes only when the store lost it and another instance made a new one first.
    /// </summary>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">No answer in time; may be repeated.</exception>
    ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken);

    /// <summary>Asks the store for a sign of life, for readiness.</summary>
    /// <param name="cancellationToken">As in <see cref="ClaimAsync"/>.</param>
    /// <exception cref="StoreUnavailableException">There was none in time.</exception>
    ValueTask PingAsync(CancellationToken cancellationToken);
}
