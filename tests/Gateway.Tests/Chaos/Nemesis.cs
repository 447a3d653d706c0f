using System.Collections.Concurrent;
using System.Diagnostics;

namespace Gateway.Tests.Chaos;

/// <summary>Brings one or two faults at a time over the gateways, heals them, lets them recover for a moment, and begins again.</summary>
internal sealed class Nemesis(FaultDeck deck, Dice dice, Stopwatch clock)
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan Stall = TimeSpan.FromMilliseconds(250);

    private readonly ConcurrentQueue<Injection> _injections = new();

    /// <summary>What it did and when, to be read beside the history of a key.</summary>
    public IReadOnlyCollection<Injection> Injections => _injections;

    /// <summary>Notes when the machine itself, shared with others, does not come to its work: times mean nothing then.</summary>
    public async Task WatchMachineAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var begin = clock.Elapsed;
            await Task.Delay(Interval, CancellationToken.None);
            if (clock.Elapsed - begin > Interval + Stall)
            {
                _injections.Enqueue(new Injection(
                    new Fault("machine-stall", Promptness.Machine, clock.Elapsed - begin, () => Task.CompletedTask, () => Task.CompletedTask), begin, clock.Elapsed));
            }
        }
    }

    /// <summary>Returns with everything healed.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var (first, second) = (deck.Draw(), deck.Draw());
            var (isTwo, rest) = (dice.Chance(40), dice.Milliseconds(100, 1200));
            Fault[] faults = isTwo && first.Target != second.Target ? [first, second] : [first];
            await Task.WhenAll(faults.Select(BringAsync));
            await Task.Delay(rest, CancellationToken.None);
        }
    }

    private async Task BringAsync(Fault fault)
    {
        var begin = clock.Elapsed;
        await fault.Inject();
        await Task.Delay(fault.Lasts);
        await fault.Heal();
        _injections.Enqueue(new Injection(fault, begin, clock.Elapsed));
    }
}
