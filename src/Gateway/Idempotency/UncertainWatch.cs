using Gateway.Telemetry;
using Idempotency.Storage;

namespace Gateway.Idempotency;

/// <summary>
/// Tells of keys whose gateway ended without a word: once in the log of each instance, and in a gauge. It goes through the whole store a part
/// at a time, round after round, because nothing leads to such a key: only its lease has ended.
/// </summary>
internal sealed class UncertainWatch : BackgroundService
{
    /// <summary>About how many records are read at a time: a million takes a quarter of an hour.</summary>
    private const int Part = 1000;

    /// <summary>Of a round. Of more than that, the gauge alone tells.</summary>
    private const int MaxRemembered = 100_000;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>What an owner has that was cut off from the store, and finds it again.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(3);

    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger<UncertainWatch> _logger;
    private readonly HashSet<RecordId> _round = [];
    private readonly HashSet<RecordId> _told = [];
    private int _beyond;
    private long _count;
    private bool _hasRound;
    private volatile bool _isKnown;

    public UncertainWatch(IIdempotencyStore store, GatewayMetrics metrics, TimeProvider time, ILogger<UncertainWatch> logger)
    {
        (_store, _time, _logger) = (store, time, logger);
        metrics.ObserveUncertainRecords(() => _isKnown ? Volatile.Read(ref _count) : null);
    }

    /// <summary>Looks at the next part of the store.</summary>
    internal async Task LookAsync(CancellationToken stoppingToken)
    {
        try
        {
            Take(await _store.WalkUncertainAsync(Part, stoppingToken));
            _isKnown = _hasRound;
        }
        catch (StoreUnavailableException)
        {
            _isKnown = false; // for now; the outage is reported where requests meet it
        }
#pragma warning disable CA1031 // a background loop: a bug must not end it for the whole process
        catch (Exception e) when (!stoppingToken.IsCancellationRequested)
#pragma warning restore CA1031
        {
            Log.CountFailed(_logger, e);
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, _time);
        try
        {
            while (await timer.WaitForNextTickAsync(stoppingToken))
            {
                await LookAsync(stoppingToken);
            }
        }
        catch (OperationCanceledException)
        {
            // The host stops.
        }
    }

    private void Take(UncertainPart part)
    {
        if (part.IsFirst)
        {
            _round.Clear();
            _beyond = 0;
        }

        foreach (var mark in part.Found)
        {
            if (_round.Count >= MaxRemembered)
            {
                _beyond++;
            }
            else if (_round.Add(mark.Id) && !mark.IsMarked && mark.Age >= Grace && _told.Add(mark.Id))
            {
                Log.Abandoned(_logger, mark.Id.Short, (long)mark.Age.TotalSeconds); // of one that is marked, its owner has told
            }
        }

        if (part.IsLast)
        {
            Volatile.Write(ref _count, _round.Count + _beyond);
            _hasRound = true;
            _told.IntersectWith(_round);
        }
    }
}
