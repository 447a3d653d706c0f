using System.Collections.Concurrent;
using System.Diagnostics;

namespace Gateway.Tests.Chaos;

/// <summary>Brings one or two faults at a time over the gateways, heals them, lets them recover for a moment, and begins again.</summary>
internal sealed class Nemesis(FaultDeck deck, Dice dice, Stopwatch clock)
{
    private readonly ConcurrentQueue<(TimeSpan At, string What)> _diary = new();
    private readonly SortedDictionary<string, int> _injected = [];

    /// <summary>What it did and when, to be read beside the history of a key.</summary>
    public IReadOnlyCollection<(TimeSpan At, string What)> Diary => _diary;

    /// <summary>How many faults of each kind.</summary>
    public IReadOnlyDictionary<string, int> Injected => _injected;

    /// <summary>Returns with everything healed.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var (first, second) = (deck.Draw(), deck.Draw());
            var (isTwo, rest) = (dice.Chance(40), dice.Milliseconds(100, 1200));
            Fault[] faults = isTwo && first.Target != second.Target ? [first, second] : [first];
            foreach (var fault in faults)
            {
                _injected[fault.Kind] = _injected.GetValueOrDefault(fault.Kind) + 1;
            }

            await Task.WhenAll(faults.Select(BringAsync));
            await Task.Delay(rest, CancellationToken.None);
        }
    }

    private async Task BringAsync(Fault fault)
    {
        Note($"begin {fault}");
        await fault.Inject();
        await Task.Delay(fault.Lasts);
        await fault.Heal();
        Note($"healed {fault}");
    }

    private void Note(string what) => _diary.Enqueue((clock.Elapsed, $"nemesis: {what}"));
}
