using Microsoft.Extensions.Options;

namespace Idempotency.Yarp;

/// <summary>
/// The end of the process, in order: after SIGTERM no new claims are taken; requests in flight go on, are recorded and answered; those
/// that last longer than the grace period are given up in time to be marked uncertain and answered so.
/// </summary>
internal sealed class Drain : IDisposable
{
    /// <summary>What is left of the grace period to mark and answer what was given up.</summary>
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(2);

    private readonly CancellationTokenSource _giveUp;
    private readonly CancellationTokenRegistration _stopping;
    private volatile bool _hasBegun;

    public Drain(IHostApplicationLifetime lifetime, TimeProvider time, IOptions<HostOptions> host)
    {
        var grace = host.Value.ShutdownTimeout;
        _giveUp = new CancellationTokenSource(Timeout.InfiniteTimeSpan, time);
        _stopping = lifetime.ApplicationStopping.Register(() =>
        {
            _hasBegun = true;
            if (grace == Timeout.InfiniteTimeSpan)
            {
                return; // the host waits for as long as it takes
            }

            _giveUp.CancelAfter(grace > 2 * Margin ? grace - Margin : grace / 2);
        });
    }

    /// <summary>No new claims from now on.</summary>
    public bool HasBegun => _hasBegun;

    /// <summary>Stands in for the client's abort while a request is forwarded: fires only when the grace period is about to end.</summary>
    public CancellationToken GiveUp => _giveUp.Token;

    public void Dispose()
    {
        _stopping.Dispose();
        _giveUp.Dispose();
    }
}
