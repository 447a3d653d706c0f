using System.Collections.Concurrent;

namespace Gateway.Storage;

/// <summary>
/// Ends claims, and keeps the leases of those that are still worked on. One timer for the process renews what is past a third of its
/// lease, so that a short request costs no renewal, and repeats the ends that the store did not take until the lease is over.
/// </summary>
internal sealed class LeaseKeeper : IHostedService, IDisposable
{
    /// <summary>Bounds the answers kept for a store that is away; beyond it the oldest rule applies: the key stays uncertain.</summary>
    private const long MaxPendingBytes = 64 * 1024 * 1024;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly ConcurrentDictionary<ClaimToken, HeldClaim> _held = new();
    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;
    private long _pendingBytes;

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
    /// <returns>False when the store did not take it (yet).</returns>
    public async ValueTask<bool> EndAsync(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer = default)
    {
        claim.Ended = true;
        try
        {
            var sent = WriteAsync(claim, end, answer);
            TestHooks.CrashPoint("P6");
            Report(claim, await sent);
            _held.TryRemove(claim.Request.Token, out _);
            return true;
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
        if (Interlocked.Add(ref _pendingBytes, answer.Length) > MaxPendingBytes)
        {
            Forget(claim, answer.Length);
            return;
        }

        claim.Ended = true;
        claim.Answer = answer;
        claim.Pending = end;
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
        foreach (var (_, claim) in _held)
        {
            if (claim.Pending is null)
            {
                await EndAsync(claim, ClaimEnd.MarkUncertain);
            }
            else
            {
                await RetryAsync(claim);
            }
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
                    await TickAsync();
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

    private async Task TickAsync()
    {
        List<HeldClaim> due = [];
        List<HeldClaim> pending = [];
        foreach (var (_, claim) in _held)
        {
            if (claim.Pending is not null)
            {
                pending.Add(claim);
            }
            else if (!claim.Ended && _time.GetElapsedTime(claim.RenewedAt) >= claim.Request.Lease / 3)
            {
                due.Add(claim);
            }
        }

        await RenewAsync(due);
        await Task.WhenAll(pending.Select(RetryAsync));
    }

    private async Task RenewAsync(List<HeldClaim> due)
    {
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
                due[i].RenewedAt = askedAt;
                if (results[i] == WriteResult.Recreated && due[i].Ended)
                {
                    // The claim was released while its renewal was on the way, and the renewal took the freed key again.
                    EndLater(due[i], ClaimEnd.Release);
                    continue;
                }

                Report(due[i], results[i]);
            }
        }
        catch (StoreUnavailableException e)
        {
            // Tried again at the next tick; the lease is thrice as long as the interval between renewals.
            StoreLog.RenewFailed(_logger, e.Message);
        }
    }

    private async Task RetryAsync(HeldClaim claim)
    {
        try
        {
            Report(claim, await WriteAsync(claim, claim.Pending!.Value, claim.Answer));
            Interlocked.Add(ref _pendingBytes, -claim.Answer.Length);
            _held.TryRemove(claim.Request.Token, out _);
            StoreLog.SettledLate(_logger, claim.Request.Id.Short);
        }
        catch (StoreUnavailableException)
        {
            // A release is true for ever, and a claim whose request was never sent must not block its key: it is kept up for the retention.
            var until = claim.Pending == ClaimEnd.Release ? claim.Request.Retention : claim.Request.Lease;
            if (_time.GetElapsedTime(claim.RenewedAt) > until)
            {
                Forget(claim, claim.Answer.Length);
            }
        }
    }

    private ValueTask<WriteResult> WriteAsync(HeldClaim claim, ClaimEnd end, ReadOnlyMemory<byte> answer) => end switch
    {
        ClaimEnd.Settle => _store.SettleAsync(claim.Request, answer, CancellationToken.None),
        ClaimEnd.MarkUncertain => _store.MarkUncertainAsync(claim.Request, CancellationToken.None),
        _ => _store.ReleaseAsync(claim.Request, CancellationToken.None),
    };

    private void Forget(HeldClaim claim, int bytes)
    {
        Interlocked.Add(ref _pendingBytes, -bytes);
        _held.TryRemove(claim.Request.Token, out _);
        StoreLog.SettleGivenUp(_logger, claim.Request.Id.Short);
    }

    private void Report(HeldClaim claim, WriteResult result)
    {
        if (result == WriteResult.Recreated)
        {
            StoreLog.ClaimRecreated(_logger, claim.Request.Id.Short);
        }
        else if (result == WriteResult.Foreign)
        {
            StoreLog.ClaimForeign(_logger, claim.Request.Id.Short);
        }
    }
}
