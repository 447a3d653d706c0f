using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>The answers' server of a run: it keeps nothing that it is not free to lose, and dies, hangs and is emptied as it likes.</summary>
internal sealed class ChaosAnswers : IAsyncDisposable
{
    /// <summary>The least that a gateway keeps apart: about half of the backend's answers are longer.</summary>
    public const int MinBytes = 1024;

    private readonly RedisServer _server;
    private readonly TcpProxy _link;

    private ChaosAnswers(RedisServer server)
    {
        _server = server;
        _link = TcpProxy.Start(server.Configuration);
    }

    /// <summary>For the gateways, beside their configuration.</summary>
    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>
    {
        ["Store__Answers__Kind"] = "Redis",
        ["Store__Answers__MinBytes"] = $"{MinBytes}",
        ["Store__Answers__Redis__Configuration"] = _link.Endpoint,
        ["Idempotency__NearCopy__MaxBytes"] = "16384", // small, so that most replays have to ask
    };

    public static async Task<ChaosAnswers> StartAsync() =>
        new(await RedisServer.StartOwnAsync("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru"));

    /// <summary>How many bodies it holds.</summary>
    public async Task<string> CountAsync() => await _server.CommandAsync("DBSIZE");

    public Fault Draw(Dice dice)
    {
        var lasts = dice.Milliseconds(100, 3000);
        return dice.Next(4) switch
        {
            0 => new Fault("answers-kill", "answers", lasts, _server.StopAsync, _server.StartAsync),
            1 => new Fault("answers-pause", "answers", lasts, _server.PauseAsync, _server.ResumeAsync),
            2 => new Fault("answers-flush", "answers", TimeSpan.FromMilliseconds(50), _server.FlushAllAsync, () => Task.CompletedTask),
            _ => new Fault("answers-silent", "answers", lasts, Now(() => _link.BlackHole()), Now(_link.Heal)),
        };
    }

    public async ValueTask DisposeAsync()
    {
        await _link.DisposeAsync();
        await _server.DisposeAsync();
    }

    private static Func<Task> Now(Action action) => () =>
    {
        action();
        return Task.CompletedTask;
    };
}
