using System.Collections.Concurrent;
using System.Diagnostics;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Clients, gateways on one Redis, a bad backend and a nemesis, for a while; then everything is healed, every operation is tried once
/// more, and what clients saw is held against what the backend did. Redis syncs every write to its file, so that it keeps what it
/// acknowledged: that is what the gateway's promise depends on.
/// </summary>
internal sealed class ChaosRun(ChaosSettings settings, Action<string> log)
{
    private const int Clients = 8;
    private const int Finishers = 16;
    private static readonly string[] Scopes = ["Bearer alice", "Bearer bob", "Bearer carol"];
    private static readonly TimeSpan Progress = TimeSpan.FromSeconds(10);

    /// <summary>Until the last request that a gateway waits for has run into its timeout, and its lease is over.</summary>
    private static readonly TimeSpan Settling = GatewayNode.BackendTimeout + GatewayNode.Lease + TimeSpan.FromSeconds(1);

    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly ConcurrentQueue<Operation> _operations = new();

    public async Task<ChaosReport> RunAsync()
    {
        log($"chaos: seed {settings.Seed}, {settings.Duration.TotalSeconds} s, {settings.Gateways} gateways");
        var backend = new ChaosBackend(settings.Seed, _clock);
        await using var server = await backend.StartAsync();
        await using var redis = await RedisServer.StartOwnAsync("--appendonly", "yes", "--appendfsync", "always");
        var nodes = await Task.WhenAll(Enumerable.Range(1, settings.Gateways)
            .Select(number => GatewayNode.StartAsync($"g{number}", redis.Configuration, server.Url)));
        try
        {
            using var client = new ChaosClient(nodes, _clock);
            var nemesis = new Nemesis(
                new FaultDeck(nodes, redis, Dice.For(settings.Seed, "faults")), Dice.For(settings.Seed, "nemesis"), _clock);

            using var stop = new CancellationTokenSource(settings.Duration);
            var clients = Enumerable.Range(1, Clients).Select(number => WorkAsync(client, number, stop.Token));
            await Task.WhenAll([nemesis.RunAsync(stop.Token), TellAsync(stop.Token), .. clients]);

            log($"{Now}: all healed, waiting for quiet");
            await Task.Delay(Settling);
            await Eventually.TrueAsync(() => backend.IsQuiet, "the backend has finished");
            backend.IsCalm = true;
            var healedAt = _clock.Elapsed;
            log($"{Now}: every key once more");
            await Parallel.ForEachAsync(
                _operations,
                new ParallelOptions { MaxDegreeOfParallelism = Finishers },
                async (operation, _) => await client.FinishAsync(
                    operation, Dice.For(settings.Seed, $"final {operation.Key} {operation.Scope}"), _clock.Elapsed + GatewayNode.Lease * 4));
            return Judge(backend, nemesis, nodes, healedAt);
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
            var first = new Operation($"key-{worker}-{number}", dice.Pick(Scopes));
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

    private async Task TellAsync(CancellationToken stop)
    {
        try
        {
            while (true)
            {
                await Task.Delay(Progress, stop);
                log($"{Now}: {_operations.Count} keys, {_operations.Sum(operation => operation.Attempts.Count)} requests");
            }
        }
        catch (OperationCanceledException)
        {
            // Time is up.
        }
    }

    private ChaosReport Judge(ChaosBackend backend, Nemesis nemesis, GatewayNode[] nodes, TimeSpan healedAt)
    {
        var checker = new HistoryChecker(backend.Ledger, healedAt);
        var violations = new List<string>();
        foreach (var operation in _operations)
        {
            if (checker.Check(operation) is { Count: > 0 } wrong)
            {
                violations.Add(KeyHistory.Write(settings.Seed, operation, wrong, checker.ExecutionsOf(operation), nemesis.Diary));
            }
        }

        var attempts = _operations.SelectMany(operation => operation.Attempts).ToList();
        var known = _operations.Select(operation => (operation.Scope, operation.Key)).ToHashSet();
        violations.AddRange(backend.Ledger
            .Where(execution => !known.Contains((execution.Scope, execution.Key)))
            .Select(execution => $"VIOLATION: nobody asked for it: {execution}"));
        var errors = GatewayErrors.In(nodes.SelectMany(node => node.Process.Output));
        violations.AddRange(nodes.SelectMany(node => node.BadExits).Select(exit => $"VIOLATION: {exit}"));
        violations.AddRange(errors.Alarms.Select(line => $"VIOLATION: a gateway's alarm, although Redis kept every write: {line}"));
        var faults = string.Join(", ", nemesis.Injected.Select(kind => $"{kind.Key} {kind.Value}"));
        return new ChaosReport(
            $"chaos: seed {settings.Seed}: {attempts.Count} requests, {_operations.Count} keys, {backend.Ledger.Count} executions, "
            + $"{attempts.Count(attempt => attempt.IsReplay)} replays, {attempts.Count(attempt => attempt.Answer?.Status == 409)} conflicts (409), "
            + $"{attempts.Count(attempt => attempt.Answer?.Status == 422)} refused bodies (422), "
            + $"{attempts.Count(attempt => attempt.Answer is null)} unanswered, "
            + $"{_operations.Count(operation => operation.Final?.Problem == "outcome-uncertain")} uncertain keys, "
            + $"{nemesis.Injected.Values.Sum()} faults ({faults}), gateway errors ({errors}), {violations.Count} violations",
            violations);
    }
}
