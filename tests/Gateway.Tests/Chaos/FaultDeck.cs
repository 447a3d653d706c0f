using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>All faults that there are. Which one comes next, where, and for how long, is the dice's choice.</summary>
internal sealed class FaultDeck(IReadOnlyList<GatewayNode> nodes, ChaosStore store, ChaosAnswers? answers, Dice dice)
{
    private static readonly TcpDirections[] Silences = [TcpDirections.ToServer, TcpDirections.ToClient, TcpDirections.Both];

    private readonly IReadOnlyList<(string Name, TcpProxy Link)> _storeLinks =
        [.. nodes.Where(node => node.StoreLink is not null).Select(node => ($"{node.Name}-store", node.StoreLink!)), .. store.Links];

    private readonly IReadOnlyList<(string Name, TcpProxy Link)> _backendLinks = [.. nodes.Select(node => ($"{node.Name}-backend", node.BackendLink))];

    public Fault Draw() => answers is not null && dice.Chance(40) ? answers.Draw(dice) : DrawOther();

    private Fault DrawOther() => dice.Next(100) switch
    {
        < 26 when _storeLinks.Count > 0 => DrawLink("store", _storeLinks),
        < 42 => DrawLink("backend", _backendLinks),
        < 76 => DrawProcess(dice.Pick(nodes)),
        _ => store.Draw(dice) ?? DrawProcess(dice.Pick(nodes)),
    };

    private Fault DrawLink(string what, IReadOnlyList<(string Name, TcpProxy Link)> links)
    {
        var (name, link) = dice.Pick(links);
        var (lasts, delay, silence) = (dice.Milliseconds(200, 3000), dice.Milliseconds(20, 500), dice.Pick(Silences));
        var (kind, inject) = dice.Next(4) switch
        {
            0 => ($"{what}-silent", () => link.BlackHole(silence)),
            1 => ($"{what}-slow", () => link.Delay = delay),
            2 => ($"{what}-cut", link.Cut),
            _ => ($"{what}-refused", (Action)(() =>
            {
                link.Refuse();
                link.Cut();
            })),
        };
        return new Fault(kind, name, lasts, Now(inject), Now(() =>
        {
            link.Delay = TimeSpan.Zero;
            link.Heal();
        }));
    }

    private Fault DrawProcess(GatewayNode node) => dice.Next(4) switch
    {
        0 => new Fault("gateway-kill", node.Name, dice.Milliseconds(50, 1500), node.Process.KillAsync, node.Process.StartAgainAsync),
        1 => new Fault("gateway-term", node.Name, dice.Milliseconds(50, 1000), node.TerminateAsync, node.Process.StartAgainAsync),
        2 => new Fault("gateway-pause", node.Name, dice.Milliseconds(200, 4000), node.Process.PauseAsync, node.Process.ResumeAsync),
        // Until the key of a request that it works on is free again, and most likely another's.
        _ => new Fault(
            "gateway-oversleep", node.Name, Operation.BriefRetention + dice.Milliseconds(200, 1500), () => PauseAtWorkAsync(node), node.Process.ResumeAsync),
    };

    private static async Task PauseAtWorkAsync(GatewayNode node)
    {
        for (var patience = 100; patience > 0 && !node.IsAtBriefWork; patience--)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(10));
        }

        await node.Process.PauseAsync();
    }

    private static Func<Task> Now(Action action) => () =>
    {
        action();
        return Task.CompletedTask;
    };
}
