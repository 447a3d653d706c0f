using System.Collections.Concurrent;

namespace Idempotency.Storage;

/// <summary>
/// Ends claims, and keeps the leases of those that are still worked on. One timer for the process renews what is past a third of its
/// lease, so that a short request costs no renewal; ends that the store does not take go to <see cref="PendingEnds"/>.
/// </summary>
internal class LeaseKeeper : IHostedService, IDisposable
{
    private const int StopBatch = 100;

    /// <summary>So that a store never has all renewals of a busy process at once, and new claims come in between.</summary>
    private const int RenewBatch = 1000;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LastWordTimeout = TimeSpan.FromSeconds(4);

    /// <summary>Long leases are renewed more often than they need: a store that lost a claim gets it back soon.</summary>
    private static readonly TimeSpan MaxRenewalInterval = TimeSpan.FromSeconds(20);

    private readonly ConcurrentDictionary<ClaimToken, HeldClaim> _held = new();
    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly PendingEnds _pending;
    private readonly CancellationTokenSource _stop = new();
    private Task _loops = Task.CompletedTask;
    private bool _isFailing;

    public LeaseKeeper(IIdempotencyStore store, TimeProvider time, ILogger<LeaseKeeper> logger)
    {
        _store = store;
        _time = time;
        _logger = logger;
        _pending = new PendingEnds(store, time, logger);
    }

    /// <summary>How many claims this process works on or still has to end.</summary>
    public int Count => _held.Count + _pending.Count;

    /// <summary>To be taken before the store is asked for a claim.</summary>
    public Moment Now => Moment.Now(_time);

    public TimeSpan Since(Moment moment) => _time.GetElapsedTime(moment.Timestamp);

    /// <summary>
    /// Whether what the claim stands for may be begun: it is this process's, and not more than half of its lease has passed since the store
    /// last agreed. The other half is for what lies between this look and the act.
    /// </summary>
    public virtual bool IsFresh(HeldClaim claim) => !claim.IsEnded && !claim.IsLost && claim.RenewedAt.Age(_time) <= claim.Request.Lease / 2;

    /// <summary>
    /// Whether what was begun under the claim may go on: nobody else can have taken it over, because its lease is not over or its end is on record.
    /// </summary>
    public virtual bool IsRunning(HeldClaim claim) => !claim.IsLost && (claim.IsSettled || claim.RenewedAt.Age(_time) < claim.Request.Lease);

    /// <summary>Asks the store now whether claims still stand, and restarts their leases. Ends in time by the store's own limit.</summary>
    /// <param name="claims">Those of one request.</param>
    /// <param name="isBegun">Whether anything was sent under them.</param>
    /// <returns>What became of each: it may be begun only where the store says <see cref="WriteResult.Done"/>.</returns>
    public Task<IReadOnlyList<WriteResult>> ConfirmAsync(IReadOnlyList<HeldClaim> claims, bool isBegun) => RenewAsync(claims, isBegun, CancellationToken.None);

    /// <summary>Takes a claim into care, from the moment before the store was asked for it.</summary>
    public HeldClaim Hold(in ClaimRequest request, Moment askedAt)
    {
        var claim = new HeldClaim(request, askedAt);
        _held[request.Token] = claim;
        return claim;
    }

    /// <summary>Ends the claim now, or in the background when the store cannot take it.</summary>
    public async ValueTask<EndResult> EndAsync(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer = default) => await TryEndAsync(claim, end, answer) switch
    {
        (WriteResult.Done or WriteResult.Recreated, _) => EndResult.Recorded,
        (WriteResult.Gone, _) when end == ClaimEnd.Release => EndResult.Recorded,
        (WriteResult.Unknown, true) => EndResult.Later,
        (WriteResult.Unknown, false) => EndResult.Dropped,
        _ => EndResult.Refused,
    };

    /// <summary>Frees a claim of which nothing was sent, now or in the background.</summary>
    /// <returns>What the key is then, which is what its client must be told.</returns>
    public async ValueTask<ReleasedKey> ReleaseAsync(HeldClaim claim) => await TryEndAsync(claim, ClaimEnd.Release, default) switch
    {
        (WriteResult.Done or WriteResult.Gone, _) when claim.Request.Attempt > 1 => ReleasedKey.Uncertain,
        (WriteResult.Done or WriteResult.Gone, _) => ReleasedKey.Free,
        (WriteResult.TakenOver or WriteResult.Foreign, _) => ReleasedKey.Taken,
        (WriteResult.Unknown, true) when claim.Request.Attempt == 1 => ReleasedKey.FreeLater,
        _ => ReleasedKey.Uncertain,
    };

    /// <summary>Ends the claim in the background.</summary>
    public void EndLater(HeldClaim claim, ClaimEnd end)
    {
        Forget(claim, end);
        _pending.Add(claim.Request, end, default, claim.RenewedAt.Timestamp);
    }

    /// <summary>Leaves the claim to its lease: nobody knows what becomes of what it stands for.</summary>
    public void Abandon(HeldClaim claim) => Forget(claim, ClaimEnd.MarkUncertain);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        // Apart, so that ends that are slow to be taken keep no live claim from its renewal.
        _loops = Task.WhenAll(Task.Run(() => LoopAsync(RenewDueAsync), CancellationToken.None), Task.Run(() => LoopAsync(_pending.RetryAsync), CancellationToken.None));
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stop.CancelAsync();
        try
        {
            // Not the host's token: it is cancelled when requests used up the grace period, which is when this matters most.
            await LastWordAsync().WaitAsync(LastWordTimeout, _time, CancellationToken.None);
        }
        catch (TimeoutException e)
        {
            StoreLog.LeaseKeepingFailed(_logger, e);
        }
    }

    /// <summary>Ends the loops: a host that failed to start is disposed of without being stopped. Containers dispose of it twice.</summary>
    public void Dispose() => _stop.Cancel();

    /// <summary>The last word of this process on every claim that it still works on: whoever asks next is told at once, not after the lease.</summary>
    private async Task LastWordAsync()
    {
        await _loops;
        foreach (var batch in _held.Values.Chunk(StopBatch))
        {
            await Task.WhenAll(batch.Select(claim => EndAsync(claim, ClaimEnd.MarkUncertain).AsTask()));
        }

        await _pending.FinishAsync();
    }

    private async Task LoopAsync(Func<Task> round)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        var stop = _stop.Token;
        while (!stop.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(stop);
                await round();
            }
#pragma warning disable CA1031 // a background loop: a bug must not end renewal for the whole process
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (!stop.IsCancellationRequested)
                {
                    StoreLog.LeaseKeepingFailed(_logger, e);
                }
            }
        }
    }

    private async Task RenewDueAsync()
    {
        foreach (var batch in _held.Values.Where(IsDue).OrderBy(Left).Chunk(RenewBatch))
        {
            List<HeldClaim> due = [.. batch.Where(claim => !claim.IsEnded)]; // those before took time
            if (due.Count > 0 && (await RenewAsync(due, isBegun: true, _stop.Token)).All(result => result == WriteResult.Unknown))
            {
                return; // the store is away; the rest is due again at the next tick
            }
        }
    }

    private async Task<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<HeldClaim> claims, bool isBegun, CancellationToken cancellationToken)
    {
        var askedAt = Now;
        IReadOnlyList<WriteResult> results;
        try
        {
            results = await _store.RenewAsync([.. claims.Select(claim => claim.Request)], cancellationToken);
            _isFailing = false;
        }
        catch (StoreUnavailableException e)
        {
            // Tried again at the next tick; the lease is thrice as long as the interval between renewals.
            results = [.. claims.Select(_ => WriteResult.Unknown)];
            if (!_isFailing)
            {
                _isFailing = true;
                StoreLog.RenewFailed(_logger, e.Message);
            }
        }

        for (var i = 0; i < claims.Count; i++)
        {
            Renewed(claims[i], results[i], askedAt, isBegun);
        }

        return results;
    }

    /// <summary>Of the lease: who has least is renewed first.</summary>
    private TimeSpan Left(HeldClaim claim) => claim.Request.Lease - _time.GetElapsedTime(claim.RenewedAt.Timestamp);

    private bool IsDue(HeldClaim claim)
    {
        var interval = claim.Request.Lease / 3;
        return !claim.IsEnded && _time.GetElapsedTime(claim.RenewedAt.Timestamp) >= (interval < MaxRenewalInterval ? interval : MaxRenewalInterval);
    }

    private void Renewed(HeldClaim claim, WriteResult result, Moment askedAt, bool isBegun)
    {
        if (result == WriteResult.Unknown)
        {
            claim.Doubt();
        }

        if (claim.IsReleased && result is WriteResult.Recreated or WriteResult.Unknown)
        {
            // Released while the renewal was on its way, which may have taken the freed key again: release it again, which is harmless.
            _pending.Add(claim.Request, ClaimEnd.Release, default, askedAt.Timestamp);
        }
        else if (result is not WriteResult.Unknown)
        {
            // Before the lease is said to be fresh. What the store had lost may have been another's meanwhile; a lock is had anew.
            var isAnothers = result is WriteResult.Foreign or WriteResult.TakenOver;
            if (isAnothers || (result == WriteResult.Recreated && !claim.Request.IsLock))
            {
                claim.Lost();
            }

            claim.RenewedAt = askedAt;
            if (isBegun)
            {
                Report(claim, result); // where nothing was begun, nothing can have happened twice
            }

            if (isAnothers)
            {
                _held.TryRemove(claim.Request.Token, out _);
            }
        }
    }

    /// <returns>What the store said, and, where it said nothing, whether it is tried again.</returns>
    private async ValueTask<(WriteResult Result, bool IsPending)> TryEndAsync(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer)
    {
        Forget(claim, end);
        try
        {
            var sent = _store.EndAsync(claim.Request, end, answer);
            TestHooks.CrashPoint("P6");
            var result = await sent;
            Report(claim, result);
            if (end == ClaimEnd.Release && claim.IsInDoubt)
            {
                _pending.Add(claim.Request, end, default, claim.RenewedAt.Timestamp); // once more, after a renewal that may come late
            }

            return (result, false);
        }
        catch (StoreUnavailableException)
        {
            return (WriteResult.Unknown, _pending.Add(claim.Request, end, answer, claim.RenewedAt.Timestamp));
        }
    }

    private void Forget(HeldClaim claim, ClaimEnd end)
    {
        claim.Ended(end);
        _held.TryRemove(claim.Request.Token, out _);
    }

    private void Report(HeldClaim claim, WriteResult result)
    {
        if (claim.Request.IsLock)
        {
            if (result is WriteResult.Recreated or WriteResult.Foreign && !claim.IsReleased)
            {
                StoreLog.LockEnded(_logger, claim.Request.Id.Short);
            }
        }
        else if (result == WriteResult.Recreated)
        {
            StoreLog.ClaimRecreated(_logger, claim.Request.Id.Short);
        }
        else
        {
            StoreLog.ReportIfAnothers(_logger, claim.Request, result, claim.IsReleased);
        }
    }
}
