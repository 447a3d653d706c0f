using System.Diagnostics;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Many duplicates of one running request, over three gateways: the store is asked once for each, and not again for their waiting.</summary>
[Collection(LoadCollection.Name)]
public sealed class CrowdTests(RedisCrowdGateways gateways, ITestOutputHelper output) : IClassFixture<RedisCrowdGateways>
{
    private const int Duplicates = 500;

    /// <summary>Measured: far less. A busy machine has to write five hundred answers meanwhile.</summary>
    private static readonly TimeSpan MaxSpread = TimeSpan.FromSeconds(1);

    /// <summary>A gateway asks by itself for each key that somebody waits for, in case that the word was lost.</summary>
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(500);

    [RedisFact(ownServer: true)]
    public async Task FiveHundredDuplicates_AreOneArrival_AndAllGetTheAnswerAtOnce()
    {
        var (path, key) = (PolicyGateways.NewPath("crowd"), EmbeddedGateway.NewKey());
        using var held = gateways.HoldAt(path);
        var running = gateways.PostAsync(gateways.First, path, key);
        await gateways.ArrivedAsync(path);
        await gateways.QuietAsync();
        var before = await gateways.CountOperationsAsync();
        var watch = Stopwatch.StartNew();
        var waiting = Enumerable.Range(0, Duplicates).Select(i => ReplayAsync(gateways.Gateways[i % gateways.Gateways.Count])).ToList();
        await Eventually.TrueAsync(async () => await gateways.CountOperationsAsync() - before >= Duplicates, "all have asked");
        Assert.DoesNotContain(waiting, answer => answer.IsCompleted);

        held.Release();
        var first = await running;
        var answeredAt = watch.Elapsed;
        var replays = await Task.WhenAll(waiting);
        var operations = await gateways.CountOperationsAsync() - before;

        Assert.Single(gateways.ArrivalsAt(path));
        Assert.All(replays, replay => Expect.Replay(first, replay.Answer));
        var spread = replays.Max(replay => replay.At) - answeredAt;
        output.WriteLine($"{Duplicates} duplicates waited {answeredAt.TotalMilliseconds:0} ms; the last got its replay {spread.TotalMilliseconds:0} ms after the first answer; {operations} store operations");
        Assert.InRange(spread, TimeSpan.MinValue, MaxSpread);

        // A claim for each, the first one's end, and for each gateway the watch, the look after the word, and its polls and renewals.
        var polls = (int)(watch.Elapsed / PollInterval) + 4;
        Assert.InRange(operations, Duplicates, Duplicates + 1 + gateways.Gateways.Count * polls);

        async Task<(Answer Answer, TimeSpan At)> ReplayAsync(GatewayProcess gateway)
        {
            var answer = await gateways.PostAsync(gateway, path, key);
            return (answer, watch.Elapsed);
        }
    }
}

/// <summary>Three gateways, whose sweepers have nothing to ask the store for.</summary>
public sealed class RedisCrowdGateways : RedisPolicyGateways
{
    protected override int Count => 3;

    protected override bool HasProbes => false;

    /// <summary>Until the gateways have nothing more to say to the store for a moment.</summary>
    public async Task QuietAsync()
    {
        var last = -1;
        await Eventually.TrueAsync(
            async () =>
            {
                var before = last;
                last = await CountOperationsAsync();
                return last == before;
            },
            "quiet");
    }
}
