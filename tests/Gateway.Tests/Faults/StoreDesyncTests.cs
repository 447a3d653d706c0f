using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>Replies reach the wrong requests, as after a fault of a client library or of a proxy. Nobody gets another key's answer.</summary>
public sealed class StoreDesyncTests : StoreFaults
{
    private const string Desynchronised = "[2007]";
    private const string LinkReplaced = "[2002]";

    private RedisServer? _redis;
    private ReplyProxy? _link;

    private ReplyProxy Link => _link!;

    public override async Task InitializeAsync()
    {
        if (RedisInstallation.IsUsable(ownServer: true))
        {
            await base.InitializeAsync();
            _redis = await RedisServer.StartOwnAsync();
            _link = ReplyProxy.Start(_redis.Configuration);
        }
    }

    public override async Task DisposeAsync()
    {
        await (_link?.DisposeAsync() ?? default);
        await (_redis?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }

    [RedisFact(ownServer: true)]
    public async Task SwappedAnswers_AreGivenToNobody()
    {
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(Link.Endpoint));
        var otherKey = EmbeddedGateway.NewKey();
        var (first, other) = (await PostAsync(gateway, Key), await PostAsync(gateway, otherKey));

        Link.Deliver = SwapTwo("settled");
        await Task.WhenAll(AssertRefusedInTimeAsync(gateway, Key), AssertRefusedInTimeAsync(gateway, otherKey));

        await AssertReplayedAsync(first, gateway, Key);
        await AssertReplayedAsync(other, gateway, otherKey);
        AssertLogged(Desynchronised, gateway);
        AssertLogged(LinkReplaced, gateway);
    }

    [RedisFact(ownServer: true)]
    public async Task SwappedClaims_AreForwardedByNobody_AndBlockNoKey()
    {
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(Link.Endpoint));
        var otherKey = EmbeddedGateway.NewKey();

        Link.Deliver = SwapTwo("claimed");
        await Task.WhenAll(AssertRefusedInTimeAsync(gateway, Key), AssertRefusedInTimeAsync(gateway, otherKey));

        await AssertRecoversAsync(gateway, Key);
        await AssertRecoversAsync(gateway, otherKey);
        AssertLogged(Desynchronised, gateway);
        AssertLogged(LinkReplaced, gateway);
    }

    [RedisFact(ownServer: true)]
    public async Task AnAnswerThatComesAgain_IsNotTakenForTheNextKeys()
    {
        await using var gateway = await StartConnectedGatewayAsync(GatewayConfig.Redis(Link.Endpoint));
        var otherKey = EmbeddedGateway.NewKey();
        var (first, other) = (await PostAsync(gateway, Key), await PostAsync(gateway, otherKey));

        Link.Deliver = RepeatInFrontOfTheNext("settled");
        await AssertReplayedAsync(first, gateway, Key);
        await AssertRefusedInTimeAsync(gateway, otherKey);

        await AssertReplayedAsync(other, gateway, otherKey);
        await AssertReplayedAsync(first, gateway, Key);
        AssertLogged(Desynchronised, gateway);
        AssertLogged(LinkReplaced, gateway);
    }

    /// <summary>The next two replies in that state trade places; what came between keeps its own.</summary>
    private static Func<string, IEnumerable<string>> SwapTwo(string state)
    {
        var held = new List<string>();
        var isOver = false;
        return reply =>
        {
            var isOne = reply.Contains($"\r\n{state}\r\n", StringComparison.Ordinal);
            if (isOver || (held.Count == 0 && !isOne))
            {
                return [reply];
            }

            held.Add(reply);
            isOver = isOne && held.Count > 1;
            return isOver ? [held[^1], .. held[1..^1], held[0]] : [];
        };
    }

    private static Func<string, IEnumerable<string>> RepeatInFrontOfTheNext(string state)
    {
        string? repeated = null;
        var isOver = false;
        return reply =>
        {
            if (isOver || !reply.Contains($"\r\n{state}\r\n", StringComparison.Ordinal))
            {
                return [reply];
            }

            isOver = repeated is not null;
            return isOver ? [repeated!, reply] : [repeated = reply];
        };
    }
}
