using Idempotency.Storage;

namespace Idempotency.Yarp;

/// <summary>
/// Tells of keys whose gateway ended without a word: once in the log of each instance, and in a gauge. It goes through the whole store a part
/// at a time, round after round, because nothing leads to such a key: only its lease has ended.
/// </summary>
internal sealed class UncertainWatch : BackgroundService
{
    /// <summary>About how many records are read at a time: a million takes a quarter of an hour.</summary>
    private const int Part = 1000;

    /// <summary>Of a round: abandoned keys that are told of, and keys that are not counted twice. Of more, the gauge alone tells.</summary>
    private const int MaxRemembered = 100_000;

    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    /// <summary>No outage that requests would not meet: something lets everything be done but this.</summary>
    private static readonly TimeSpan LongFailure = TimeSpan.FromMinutes(5);

    /// <summary>What an owner has that was cut off from the store, and finds it again.</summary>
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(3);

    private readonly IIdempotencyStore _store;
    private readonly TimeProvider _time;
    private readonly ILogger<UncertainWatch> _logger;
    private readonly HashSet<RecordId> _round = [];
    private readonly HashSet<RecordId> _abandoned = [];
    private readonly HashSet<RecordId> _told = [];
    private int _beyond;
    private long _count;
    private bool _hasRound;
    private bool _isBetween = true;
    private long? _failingSince;
    private bool _isFailureTold;
    private volatile bool _isKnown;

    public UncertainWatch(IIdempotencyStore store, IdempotencyMetrics metrics, TimeProvider time, ILogger<UncertainWatch> logger)
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
            (_failingSince, _isFailureTold) = (null, false);
        }
        catch (StoreUnavailableException e)
        {
            _isKnown = false; // for now; an outage is reported where requests meet it
            _failingSince ??= _time.GetTimestamp();
            if (!_isFailureTold && _time.GetElapsedTime(_failingSince.Value) >= LongFailure)
            {
                _isFailureTold = true;
                Log.CannotCount(_logger, e.Message);
            }
        }
#pragma warning disable CA1031 // a background loop: a bug must not end it for the whole process
        catch (Exception e) when (!stoppingToken.IsCancellationRequested)
#pragma warning restore CA1031
        {
            _isKnown = false;
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
            _hasRound &= _isBetween; // what was counted before a round that broke off may be of a server that is gone
            _round.Clear();
            _abandoned.Clear();
            _beyond = 0;
        }

        _isBetween = part.IsLast;
        foreach (var mark in part.Found)
        {
            // Of one that is marked, its owner has told.
            if (!mark.IsMarked && mark.Age >= Grace && _abandoned.Count < MaxRemembered && _abandoned.Add(mark.Id) && _told.Add(mark.Id))
            {
                Log.Abandoned(_logger, mark.Id.Short, (long)mark.Age.TotalSeconds);
            }

            if (_round.Count < MaxRemembered)
            {
                _round.Add(mark.Id);
            }
            else
            {
                _beyond++;
            }
        }

        if (part.IsLast)
        {
            Volatile.Write(ref _count, _round.Count + _beyond);
            _hasRound = true;
            _told.IntersectWith(_abandoned);
        }
    }
}
