using System.Collections.Concurrent;
using System.Diagnostics;
using Gateway.Tests.Chaos;
using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>
/// Kills the gateway and the backend, and cuts, stalls and slows down links, by dice: at any time at most one process, one link before the
/// backend and one behind it.
/// </summary>
internal sealed class AccountNemesis(AccountSystem system, ulong seed)
{
    static readonly string[] Victims = ["gateway", "backend"];
    static readonly TcpDirections[] Silences = [TcpDirections.ToServer, TcpDirections.ToClient, TcpDirections.Both];

    /// <summary>How often it did what.</summary>
    public ConcurrentDictionary<string, int> Deeds { get; } = new();

    /// <summary>Returns with everything healed.</summary>
    public Task RunAsync(CancellationToken stop) => Task.WhenAll(
        KillAsync(Dice.For(seed, "kills"), stop),
        DisturbAsync(["gateway", "backend"], Dice.For(seed, "before"), stop),
        DisturbAsync(["core banking", "registry"], Dice.For(seed, "behind"), stop));

    async Task KillAsync(Dice dice, CancellationToken stop)
    {
        var lastKill = TimeSpan.Zero;
        for (var number = 0; ; number++)
        {
            // Each in turn at first, and soon, so that short runs have both. A machine that takes long to start a process has its peace as long.
            var isFirst = number < Victims.Length;
            var (victim, away) = (isFirst ? Victims[number] : dice.Pick(Victims), dice.Milliseconds(0, 500));
            var quiet = dice.Milliseconds(2000, 6000) / (isFirst ? 4 : 1);
            await WaitAsync(quiet > lastKill ? quiet : lastKill, stop);
            if (stop.IsCancellationRequested)
                return;
            var began = Stopwatch.GetTimestamp();
            Note($"{victim} killed");
            await system.KillAsync(victim, away);
            lastKill = Stopwatch.GetElapsedTime(began);
        }
    }

    async Task DisturbAsync(string[] servers, Dice dice, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var (server, silence, delay) = (dice.Pick(servers), dice.Pick(Silences), dice.Milliseconds(5, 200));
            var (lasts, quiet) = (dice.Milliseconds(50, 1000), dice.Milliseconds(200, 1500));
            var link = system.Link(server);
            var usual = link.Delay;
            switch (dice.Next(4))
            {
                case 0:
                    Note($"{server} silent");
                    link.BlackHole(silence);
                    break;
                case 1:
                    Note($"{server} slow");
                    link.Delay = delay;
                    break;
                case 2:
                    Note($"{server} refused");
                    link.Refuse();
                    link.Cut();
                    break;
                default:
                    Note($"{server} cut");
                    link.Cut();
                    lasts = TimeSpan.Zero;
                    break;
            }
            await Task.Delay(lasts, CancellationToken.None);
            link.Delay = usual;
            link.Heal();
            await WaitAsync(quiet, stop);
        }
    }

    void Note(string deed) => Deeds.AddOrUpdate(deed, 1, (_, times) => times + 1);

    static Task WaitAsync(TimeSpan time, CancellationToken stop) =>
        Task.Delay(time, stop).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
}
