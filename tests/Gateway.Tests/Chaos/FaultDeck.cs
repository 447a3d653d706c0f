using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>All faults that there are. Which one comes next, where, and for how long, is the dice's choice.</summary>
internal sealed class FaultDeck(IReadOnlyList<GatewayNode> nodes, RedisServer redis, Dice dice)
{
    private static readonly TcpDirections[] Silences = [TcpDirections.ToServer, TcpDirections.ToClient, TcpDirections.Both];

    public Fault Draw() => dice.Next(100) switch
    {
        < 30 => DrawLink(dice.Pick(nodes), isStore: true),
        < 50 => DrawLink(dice.Pick(nodes), isStore: false),
        < 82 => DrawProcess(dice.Pick(nodes)),
        < 92 => new Fault("redis-pause", "redis", dice.Milliseconds(200, 3000), redis.PauseAsync, redis.ResumeAsync),
        _ => new Fault("redis-kill", "redis", dice.Milliseconds(50, 2000), redis.StopAsync, redis.StartAsync),
    };

    private Fault DrawLink(GatewayNode node, bool isStore)
    {
        var link = isStore ? node.StoreLink : node.BackendLink;
        var (lasts, delay, silence) = (dice.Milliseconds(200, 4000), dice.Milliseconds(20, 500), dice.Pick(Silences));
        var target = isStore ? "store" : "backend";
        var (kind, inject) = dice.Next(4) switch
        {
            0 => ($"{target}-silent", () => link.BlackHole(silence)),
            1 => ($"{target}-slow", () => link.Delay = delay),
            2 => ($"{target}-cut", link.Cut),
            _ => ($"{target}-refused", (Action)(() =>
            {
                link.Refuse();
                link.Cut();
            })),
        };
        return new Fault(kind, $"{node.Name}-{target}", lasts, Now(inject), Now(() =>
        {
            link.Delay = TimeSpan.Zero;
            link.Heal();
        }));
    }

    private Fault DrawProcess(GatewayNode node) => dice.Next(3) switch
    {
        0 => new Fault("gateway-kill", node.Name, dice.Milliseconds(50, 1500), node.Process.KillAsync, node.Process.StartAgainAsync),
        1 => new Fault("gateway-pause", node.Name, dice.Milliseconds(200, 5000), node.Process.PauseAsync, node.Process.ResumeAsync),
        _ => new Fault("gateway-term", node.Name, dice.Milliseconds(50, 1000), node.TerminateAsync, node.Process.StartAgainAsync),
    };

    private static Func<Task> Now(Action action) => () =>
    {
        action();
        return Task.CompletedTask;
    };
}
