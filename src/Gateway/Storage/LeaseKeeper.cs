using System.Collections.Concurrent;

namespace Gateway.Storage;

/// <summary>
/// Ends claims, and keeps the leases of those that are still worked on. One timer for the process renews what is past a third of its
/// lease, so that a short request costs no renewal, and repeats the ends that the store did not take until the lease is over.
/// </summary>
internal sealed class LeaseKeeper : IHostedService, IDisposable
{
    /// <summary>Bounds the answers kept for a store that is away; what does not fit stays uncertain.</summary>
    private const long MaxPendingBytes = 64 * 1024 * 1024;

    /// <summary>Bounds the ends kept for a store that is away.</summary>
    private const int MaxPending = 20_000;

    /// <summary>How many ends are repeated at a time; the first failure ends the round.</summary>
    private const int Batch = 100;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    /// <summary>Long leases are renewed more often than they need: a store that lost a claim gets it back soon.</summary>
    private static readonly TimeSpan MaxRenewalInterval = TimeSpan.FromSeconds(20);

    private readonly ConcurrentDictionary<ClaimToken, HeldClaim> _held = new();
    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private long _pendingBytes;
    private int _pending;
    private bool _isFailing;

    public LeaseKeeper(IIdempotencyStore store, TimeProvider time, ILogger<LeaseKeeper> logger)
    {
        _store = store;
        _time = time;
        _logger = logger;
    }

    /// <summary>How many claims this process holds or still has to end.</summary>
    public int Count => _held.Count;

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
        claim.End = new PendingEnd(end, answer);
        try
        {
            var sent = WriteAsync(claim);
            TestHooks.CrashPoint("P6");
            var result = await sent;
            _held.TryRemove(claim.Request.Token, out _);
            Report(claim, result);
            return result is WriteResult.Done or WriteResult.Recreated || (result == WriteResult.Gone && end == ClaimEnd.Release);
        }
        catch (StoreUnavailableException)
        {
            EndLater(claim, end, answer);
            return false;
        }
    }

    /// <summary>Ends the claim in the background, until its lease is over.</summary>
    public void EndLater(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer = default)
    {
        claim.End = new PendingEnd(end, answer);
        if (Interlocked.Increment(ref _pending) > MaxPending || Interlocked.Add(ref _pendingBytes, answer.Length) > MaxPendingBytes)
        {
            claim.IsPending = true;
            Forget(claim, isGivenUp: true);
            return;
        }

        claim.IsPending = true;
        _held[claim.Request.Token] = claim;
    }

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _loop = Task.Run(RunAsync, CancellationToken.None);
        return Task.CompletedTask;
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        await _stop.CancelAsync();
        await _loop;

        // The last word of this process on every claim that it still holds: whoever asks next is told at once, not after the lease.
        // A claim whose end is on its way is left to it.
        foreach (var batch in _held.Values.Where(claim => claim.IsPending || claim.End is null).Chunk(Batch))
        {
            await Task.WhenAll(batch.Select(claim => claim.IsPending ? RetryAsync(claim) : EndAsync(claim, ClaimEnd.MarkUncertain).AsTask()))
                .WaitAsync(cancellationToken);
        }
    }

    public void Dispose() => _stop.Dispose();

    private async Task RunAsync()
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stop.Token))
            {
                try
                {
                    await RenewAsync();
                    await RetryAsync();
                }
                catch (Exception e) when (!_stop.IsCancellationRequested)
                {
                    // A bug must not end renewal for the whole process.
                    StoreLog.LeaseKeepingFailed(_logger, e);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The process is ending.
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
        return claim.End is null && _time.GetElapsedTime(claim.RenewedAt) >= (interval < MaxRenewalInterval ? interval : MaxRenewalInterval);
    }

    private void Renewed(HeldClaim claim, WriteResult result, long askedAt)
    {
        if (claim.End is { End: ClaimEnd.Release } && !claim.IsPending && result is WriteResult.Recreated or WriteResult.Unknown)
        {
            // Released while the renewal was on its way, which may have taken the freed key again.
            EndLater(claim, ClaimEnd.Release);
            return;
        }

        if (result == WriteResult.Unknown)
        {
            return;
        }

        claim.RenewedAt = askedAt;
        Report(claim, result);
        if (result == WriteResult.Foreign)
        {
            _held.TryRemove(claim.Request.Token, out _);
        }
    }

    private async Task RetryAsync()
    {
        foreach (var batch in _held.Values.Where(claim => claim.IsPending).Chunk(Batch))
        {
            var results = await Task.WhenAll(batch.Select(RetryAsync));
            if (results.Contains(false))
            {
                // The store is away: no need to ask it for each one.
                break;
            }
        }

        foreach (var claim in _held.Values.Where(claim => claim.IsPending && IsOver(claim)))
        {
            Forget(claim, isGivenUp: true);
        }
    }

    /// <returns>False when the store did not answer.</returns>
    private async Task<bool> RetryAsync(HeldClaim claim)
    {
        try
        {
            Report(claim, await WriteAsync(claim));
            Forget(claim, isGivenUp: false);
            StoreLog.SettledLate(_logger, claim.Request.Id.Short);
            return true;
        }
        catch (StoreUnavailableException)
        {
            return false;
        }
    }

    /// <summary>A release is true for ever, and a claim whose request was never sent must not block its key: it is kept up longer.</summary>
    private bool IsOver(HeldClaim claim) =>
        _time.GetElapsedTime(claim.RenewedAt) > (claim.End!.End == ClaimEnd.Release ? claim.Request.Retention : claim.Request.Lease);

    private ValueTask<WriteResult> WriteAsync(HeldClaim claim) => claim.End! switch
    {
        { End: ClaimEnd.Settle } end => _store.SettleAsync(claim.Request, end.Answer, CancellationToken.None),
        { End: ClaimEnd.MarkUncertain } => _store.MarkUncertainAsync(claim.Request, CancellationToken.None),
        _ => _store.ReleaseAsync(claim.Request, CancellationToken.None),
    };

    private void Forget(HeldClaim claim, bool isGivenUp)
    {
        claim.IsPending = false;
        _held.TryRemove(claim.Request.Token, out _);
        Interlocked.Decrement(ref _pending);
        Interlocked.Add(ref _pendingBytes, -claim.End!.Answer.Length);
        if (isGivenUp)
        {
            StoreLog.SettleGivenUp(_logger, claim.Request.Id.Short);
        }
    }

    private void Report(HeldClaim claim, WriteResult result)
    {
        if (result == WriteResult.Recreated)
        {
            StoreLog.ClaimRecreated(_logger, claim.Request.Id.Short);
        }
        else if (result == WriteResult.Foreign && claim.End is not { End: ClaimEnd.Release })
        {
            // A release that meets another owner only comes late: the key was free before.
            StoreLog.ClaimForeign(_logger, claim.Request.Id.Short);
        }
    }
}
