using System.Collections.Concurrent;
using Gateway.Tests.Chaos;
using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>Cuts, stalls and slows down links, and kills the gateway and the backend, by dice; one process and one link at a time.</summary>
internal sealed class AccountNemesis(AccountSystem system, ulong seed)
{
    static readonly string[] Victims = ["gateway", "backend"];
    static readonly TcpDirections[] Silences = [TcpDirections.ToServer, TcpDirections.ToClient, TcpDirections.Both];

    /// <summary>How often it did what.</summary>
    public ConcurrentDictionary<string, int> Deeds { get; } = new();

    /// <summary>Returns with everything healed.</summary>
    public Task RunAsync(CancellationToken stop) => Task.WhenAll(KillAsync(Dice.For(seed, "kills"), stop), DisturbAsync(Dice.For(seed, "links"), stop));

    async Task KillAsync(Dice dice, CancellationToken stop)
    {
        for (var number = 0; !stop.IsCancellationRequested; number++)
        {
            // Each in turn at first, so that short runs have both.
            var victim = number < Victims.Length ? Victims[number] : dice.Pick(Victims);
            var (quiet, away) = (dice.Milliseconds(200, 2500), dice.Milliseconds(0, 500));
            await Task.Delay(number < Victims.Length ? quiet / 2 : quiet, CancellationToken.None);
            Note($"{victim} killed");
            await system.KillAsync(victim, away);
        }
    }

    async Task DisturbAsync(Dice dice, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var (server, silence, delay) = (dice.Pick(system.Links), dice.Pick(Silences), dice.Milliseconds(5, 200));
            var (lasts, quiet) = (dice.Milliseconds(50, 1500), dice.Milliseconds(20, 300));
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
            await Task.Delay(quiet, CancellationToken.None);
        }
    }

    void Note(string deed) => Deeds.AddOrUpdate(deed, 1, (_, times) => times + 1);
}
