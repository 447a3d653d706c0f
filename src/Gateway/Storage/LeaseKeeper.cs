using System.Collections.Concurrent;

namespace Gateway.Storage;

/// <summary>
/// Ends claims, and keeps the leases of those that are still worked on. One timer for the process renews what is past a third of its
/// lease, so that a short request costs no renewal; ends that the store does not take go to <see cref="PendingEnds"/>.
/// </summary>
internal sealed class LeaseKeeper : IHostedService, IDisposable
{
    private const int StopBatch = 100;
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

    /// <summary>A timestamp to take before the store is asked for a claim.</summary>
    public long Now => _time.GetTimestamp();

    public TimeSpan Since(long timestamp) => _time.GetElapsedTime(timestamp);

    /// <summary>Takes a claim into care, from the moment before the store was asked for it.</summary>
    public HeldClaim Hold(in ClaimRequest request, long askedAt)
    {
        var claim = new HeldClaim(request, askedAt);
        _held[request.Token] = claim;
        return claim;
    }

    /// <summary>Ends the claim now, or in the background when the store cannot take it.</summary>
    /// <returns>True when the store has it: false when it did not take it yet, or never will because another owns the record.</returns>
    public async ValueTask<bool> EndAsync(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer = default)
    {
        Forget(claim, end);
        try
        {
            var sent = _store.EndAsync(claim.Request, end, answer);
            TestHooks.CrashPoint("P6");
            var result = await sent;
            Report(claim, result);
            return result is WriteResult.Done or WriteResult.Recreated || (result == WriteResult.Gone && end == ClaimEnd.Release);
        }
        catch (StoreUnavailableException)
        {
            _pending.Add(claim.Request, end, answer, claim.RenewedAt);
            return false;
        }
    }

    /// <summary>Ends the claim in the background.</summary>
    public void EndLater(HeldClaim claim, ClaimEnd end)
    {
        Forget(claim, end);
        _pending.Add(claim.Request, end, default, claim.RenewedAt);
    }

    /// <summary>Leaves the claim to its lease: nobody knows what becomes of what it stands for.</summary>
    public void Abandon(HeldClaim claim) => Forget(claim, ClaimEnd.MarkUncertain);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        // Apart, so that ends that are slow to be taken keep no live claim from its renewal.
        _loops = Task.WhenAll(Task.Run(() => LoopAsync(RenewAsync), CancellationToken.None), Task.Run(() => LoopAsync(_pending.RetryAsync), CancellationToken.None));
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

    public void Dispose() => _stop.Dispose();

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
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await timer.WaitForNextTickAsync(_stop.Token);
                await round();
            }
#pragma warning disable CA1031 // a background loop: a bug must not end renewal for the whole process
            catch (Exception e)
#pragma warning restore CA1031
            {
                if (!_stop.IsCancellationRequested)
                {
                    StoreLog.LeaseKeepingFailed(_logger, e);
                }
            }
        }
    }

    private async Task RenewAsync()
    {
        var due = _held.Values.Where(IsDue).ToList();
        if (due.Count == 0)
        {
            return;
        }

        var askedAt = _time.GetTimestamp();
        try
        {
            var results = await _store.RenewAsync([.. due.Select(claim => claim.Request)], _stop.Token);
            for (var i = 0; i < due.Count; i++)
            {
                Renewed(due[i], results[i], askedAt);
            }

            _isFailing = false;
        }
        catch (StoreUnavailableException e)
        {
            // Tried again at the next tick; the lease is thrice as long as the interval between renewals.
            due.ForEach(claim => Renewed(claim, WriteResult.Unknown, askedAt));
            if (!_isFailing)
            {
                _isFailing = true;
                StoreLog.RenewFailed(_logger, e.Message);
            }
        }
    }

    private bool IsDue(HeldClaim claim)
    {
        var interval = claim.Request.Lease / 3;
        return !claim.IsEnded && _time.GetElapsedTime(claim.RenewedAt) >= (interval < MaxRenewalInterval ? interval : MaxRenewalInterval);
    }

    private void Renewed(HeldClaim claim, WriteResult result, long askedAt)
    {
        if (claim.IsReleased && result is WriteResult.Recreated or WriteResult.Unknown)
        {
            // Released while the renewal was on its way, which may have taken the freed key again: release it again, which is harmless.
            _pending.Add(claim.Request, ClaimEnd.Release, default, askedAt);
        }
        else if (result is not WriteResult.Unknown)
        {
            claim.RenewedAt = askedAt;
            Report(claim, result);
            if (result is WriteResult.Foreign or WriteResult.TakenOver)
            {
                claim.Lost();
                _held.TryRemove(claim.Request.Token, out _);
            }
        }
    }

    private void Forget(HeldClaim claim, ClaimEnd end)
    {
        claim.Ended(end);
        _held.TryRemove(claim.Request.Token, out _);
    }

    private void Report(HeldClaim claim, WriteResult result)
    {
        if (result == WriteResult.Recreated)
        {
            StoreLog.ClaimRecreated(_logger, claim.Request.Id.Short);
        }
        else if (result == WriteResult.Foreign && !claim.IsReleased)
        {
            StoreLog.ClaimForeign(_logger, claim.Request.Id.Short);
        }
        else if (result == WriteResult.TakenOver && !claim.IsReleased)
        {
            StoreLog.ClaimTakenOver(_logger, claim.Request.Id.Short);
        }
    }
}
