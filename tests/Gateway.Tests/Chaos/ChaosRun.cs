using System.Collections.Concurrent;
using System.Diagnostics;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Clients, gateways on one store, a bad backend and a nemesis, for a while; then everything is healed, every operation is tried once
/// more, and what clients saw is held against what the backend did. The store keeps what it acknowledged, whatever befalls it: that is
/// what the gateway's promise depends on.
/// </summary>
internal sealed class ChaosRun(ChaosSettings settings, Action<string> log)
{
    private const int Clients = 8;
    private const int BriefClients = 4;
    private const int HonestClients = 12;
    private const int Insisting = 2;
    private const int Finishers = 16;
    private static readonly string[] Scopes = ["Bearer alice", "Bearer bob", "Bearer carol"];
    private static readonly TimeSpan Progress = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PassInterval = TimeSpan.FromMilliseconds(250);

    /// <summary>When nothing has come to the backend for so long, and no lease can be left, all is over.</summary>
    private static readonly TimeSpan Settling = GatewayNode.Lease + TimeSpan.FromSeconds(1);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly ConcurrentQueue<Operation> _operations = new();
    private readonly ConcurrentQueue<Passage> _passages = new();

    public async Task<ChaosReport> RunAsync()
    {
        log($"chaos: {settings.CommandLine}");
        var backend = new ChaosBackend(settings.Seed, _clock);
        await using var server = await backend.StartAsync();
        await using var honest = await HonestBackend.StartAsync(HonestWork.Handshake, _clock);
        await using var store = ChaosStore.Create(settings.Store);
        await store.StartAsync();
        await using var answers = settings.AnswersApart ? await ChaosAnswers.StartAsync() : null;
        var nodes = await Task.WhenAll(Enumerable.Range(1, settings.Gateways)
            .Select(number => GatewayNode.StartAsync($"g{number}", store, server.Url, $"https://{honest.TlsEndpoint}", settings, answers?.Environment)));
        try
        {
            using var client = new ChaosClient(nodes, _clock);
            using var honestWork = new HonestWork(honest, nodes);
            var nemesis = new Nemesis(
                new FaultDeck(nodes, store, answers, Dice.For(settings.Seed, "faults")), Dice.For(settings.Seed, "nemesis"), _clock);

            await WarmUpAsync(client, nodes);
            _clock.Restart();
            log($"{Now}: begins");
            using var stop = new CancellationTokenSource(settings.Duration);
            await Task.WhenAll(
            [
                nemesis.RunAsync(stop.Token),
                nemesis.WatchMachineAsync(stop.Token),
                EveryAsync(Progress, () => Tell(nodes), stop.Token),
                .. nodes.Select(node => EveryAsync(PassInterval, async () => _passages.Enqueue(await client.PassAsync(node)), stop.Token)),
                .. Enumerable.Range(1, Clients).Select(number => WorkAsync(client, number, stop.Token)),
                .. Enumerable.Range(1, BriefClients).Select(number => InsistAsync(client, number, stop.Token)),
                .. Enumerable.Range(1, HonestClients).Select(number => honestWork.RunAsync(number, Dice.For(settings.Seed, $"honest {number}"), stop.Token)),
            ]);

            log($"{Now}: all healed, waiting for quiet");
            await Eventually.TrueAsync(() => backend.IsQuiet, "the backend has finished");
            await Task.Delay(Settling);
            await Eventually.TrueAsync(() => backend.IsQuiet, "the backend has finished");
            backend.IsCalm = true;
            var healedAt = _clock.Elapsed;
            log($"{Now}: every key once more");
            await Parallel.ForEachAsync(
                _operations,
                new ParallelOptions { MaxDegreeOfParallelism = Finishers },
                async (operation, _) => await client.FinishAsync(
                    operation, Dice.For(settings.Seed, $"final {operation.Key} {operation.Scope}"), _clock.Elapsed + (GatewayNode.Lease * 4)));
            await Tell(nodes);
            return await new ChaosVerdict(settings, [.. _operations], [.. _passages], backend.Ledger, nemesis.Injections, nodes, honestWork, healedAt).JudgeAsync(store);
        }
        finally
        {
            foreach (var node in nodes)
            {
                await node.DisposeAsync();
            }
        }
    }

    private string Now => $"{_clock.Elapsed.TotalSeconds,6:F1} s";

    private async Task WorkAsync(ChaosClient client, int worker, CancellationToken stop)
    {
        var dice = Dice.For(settings.Seed, $"client {worker}");
        for (var number = 1; !stop.IsCancellationRequested; number++)
        {
            var first = new Operation($"order-{worker}-{number}", dice.Pick(Scopes));
            // The same key in other hands is another key.
            Operation[] operations = dice.Chance(20) ? [first, new Operation(first.Key, dice.Pick([.. Scopes.Except([first.Scope])]))] : [first];
            foreach (var operation in operations)
            {
                _operations.Enqueue(operation);
            }

            await Task.WhenAll(operations.Select(operation =>
                client.RunAsync(operation, Dice.For(settings.Seed, $"{operation.Key} {operation.Scope}"), stop)));
        }
    }

    private async Task InsistAsync(ChaosClient client, int worker, CancellationToken stop)
    {
        for (var number = 1; !stop.IsCancellationRequested; number++)
        {
            var operation = new Operation($"brief-{worker}-{number}", Scopes[worker % Scopes.Length], IsBrief: true);
            _operations.Enqueue(operation);
            await Task.WhenAll(Enumerable.Range(1, Insisting)
                .Select(twin => client.InsistAsync(operation, Dice.For(settings.Seed, $"{operation.Key} {twin}"), stop)));
        }
    }

    /// <summary>The first requests of a process are slow; what they show of the store's faults is nothing.</summary>
    private static async Task WarmUpAsync(ChaosClient client, GatewayNode[] nodes)
    {
        foreach (var node in nodes)
        {
            await client.PassAsync(node);
        }
    }

    private Task Tell(GatewayNode[] nodes)
    {
        foreach (var node in nodes)
        {
            node.MeasureMemory();
        }

        log($"{Now}: {_operations.Count} keys, {_operations.Sum(operation => operation.Attempts.Count)} requests");
        return Task.CompletedTask;
    }

    private static async Task EveryAsync(TimeSpan interval, Func<Task> work, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            await Task.Delay(interval, stop).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            await work();
        }
    }
}
