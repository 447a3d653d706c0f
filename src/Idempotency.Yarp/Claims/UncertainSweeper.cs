using Idempotency.Storage;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>
/// Drives uncertain keys of policies with a probe to an end without waiting for a retry. Each instance sweeps on its own; a key that the
/// backend has no clear word on is asked about again, less and less often.
/// </summary>
internal sealed class UncertainSweeper(IIdempotencyStore store, RecordIds recordIds, Recovery recovery, PolicyBook policies, TimeProvider time, ILogger<UncertainSweeper> logger)
    : BackgroundService
{
    private const int Batch = 16;
    private const int MaxRemembered = 10_000;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan MaxPause = TimeSpan.FromMinutes(5);

    private readonly Dictionary<RecordId, (long At, TimeSpan Pause)> _asked = [];

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, time);
        while (await WaitAsync(timer, stoppingToken))
        {
            try
            {
                if (policies.Current.Values.Any(policy => policy.UncertainRetries == UncertainRetries.Probe))
                {
                    await SweepAsync(stoppingToken);
                }
            }
            catch (StoreUnavailableException)
            {
                // Its failure is reported where requests meet it; the sweep goes on at the next tick.
            }
#pragma warning disable CA1031 // a background loop: a bug must not end the sweep for the whole process
            catch (Exception e) when (!stoppingToken.IsCancellationRequested)
#pragma warning restore CA1031
            {
                Log.SweepFailed(logger, e);
            }
        }
    }

    private static async Task<bool> WaitAsync(PeriodicTimer timer, CancellationToken stoppingToken)
    {
        try
        {
            return await timer.WaitForNextTickAsync(stoppingToken);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private async Task SweepAsync(CancellationToken stoppingToken)
    {
        var found = await store.FindUncertainAsync(Batch, stoppingToken);
        var secret = found.Count == 0 ? [] : await recordIds.GetSecretAsync();
        foreach (var record in found)
        {
            if (!IsDue(record.Id)
                || ProbeQuestion.TryOpen(secret, record.Id, record.Probe.Span) is not { } question
                || !policies.Current.TryGetValue(question.Policy, out var policy) || policy.Probe is null)
            {
                continue;
            }

            if (await recovery.SweepAsync(policy, record, question, stoppingToken))
            {
                _asked.Remove(record.Id);
            }
        }
    }

    /// <summary>Whether a record may be asked about now; if so, the pause before the next time doubles.</summary>
    private bool IsDue(RecordId id)
    {
        var pause = FirstPause;
        if (_asked.TryGetValue(id, out var last))
        {
            if (time.GetElapsedTime(last.At) < last.Pause)
            {
                return false;
            }

            pause = last.Pause * 2 < MaxPause ? last.Pause * 2 : MaxPause;
        }
        else if (_asked.Count >= MaxRemembered)
        {
            _asked.Clear(); // rather ask too often than remember without end
        }

        _asked[id] = (time.GetTimestamp(), pause);
        return true;
    }
}
