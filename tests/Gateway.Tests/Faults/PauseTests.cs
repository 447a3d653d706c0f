using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;
using Xunit.Abstractions;

namespace Gateway.Tests.Faults;

/// <summary>
/// One of two gateways is stopped for longer than its lease, again and again, under load, and the other one takes over what it was at. The
/// backend is honest, so nothing may run twice. Short here; with <c>PAUSED_REQUESTS=500</c> until so many were caught in the middle.
/// </summary>
[Collection(LoadCollection.Name)]
public abstract class PauseTests(ITestOutputHelper output)
{
    private const int Clients = 24;
    private const int Rounds = 5;
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Again = TimeSpan.FromMilliseconds(100);

    private readonly ConcurrentDictionary<string, bool> _pending = new();
    private readonly ConcurrentDictionary<string, bool> _caught = new();
    private int _keys;

    private static int Wanted => int.TryParse(Environment.GetEnvironmentVariable("PAUSED_REQUESTS"), CultureInfo.InvariantCulture, out var wanted) ? wanted : 0;

    private static string? Defects => Environment.GetEnvironmentVariable("PAUSED_DEFECTS") is { Length: > 0 } defects ? defects : null;

    [StoreFact]
    public async Task StoppedAgainAndAgain_UnderLoad_NoKeyExecutesTwice()
    {
        await using var gateways = await StartAsync(Defects);
        using var stop = new CancellationTokenSource();
        var clients = Enumerable.Range(0, Clients).Select(_ => WorkAsync(gateways, stop.Token)).ToList();

        var rounds = 0;
        for (; Wanted == 0 ? rounds < Rounds : _caught.Count < Wanted; rounds++)
        {
            // Never at the same moment of the work.
            await Task.Delay(TimeSpan.FromMilliseconds(RandomNumberGenerator.GetInt32(700, 1300)));
            await gateways.Stopped.PauseAsync();
            foreach (var key in _pending.Keys)
            {
                _caught[key] = true;
            }

            await Task.Delay(Pause);
            await gateways.Stopped.ResumeAsync();
        }

        await stop.CancelAsync();
        await Task.WhenAll(clients);

        var repeated = gateways.Backend.Repeated;
        output.WriteLine($"{GetType().Name}: {rounds} pauses, {_keys} keys, {_caught.Count} caught, {repeated.Count} executed more than once ({repeated.Keys.Count(_caught.ContainsKey)} of those caught)");
        Assert.True(repeated.Count == 0, $"{repeated.Count} of {_caught.Count} caught requests ran more than once");
        Assert.Equal(_keys + PausedGateways.FirstRequests, gateways.Backend.Ledger.Count);
        Assert.NotEmpty(_caught);
    }

    private protected abstract Task<PausedGateways> StartAsync(string? defects);

    /// <summary>A request to the gateway that is stopped now and then; who gets no answer soon asks the other one, until there is one.</summary>
    private async Task WorkAsync(PausedGateways gateways, CancellationToken stop)
    {
        while (!stop.IsCancellationRequested)
        {
            var key = EmbeddedGateway.NewKey();
            Interlocked.Increment(ref _keys);
            if (await TryFirstAsync(gateways, key) is not (200 or 201))
            {
                await AskAgainAsync(gateways, key);
            }
        }
    }

    private async Task<int?> TryFirstAsync(PausedGateways gateways, string key)
    {
        using var hangUp = new CancellationTokenSource(Patience);
        _pending[key] = true;
        try
        {
            return (await gateways.PostAsync(gateways.Stopped, "/direct/pause", key, cancellation: hangUp.Token)).Status;
        }
        catch (Exception gone) when (gone is OperationCanceledException or HttpRequestException)
        {
            return null;
        }
        finally
        {
            _pending.TryRemove(key, out _);
        }
    }

    private static async Task AskAgainAsync(PausedGateways gateways, string key)
    {
        var answers = new List<string>();
        var began = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(began) < Bounds.Wait)
        {
            var answer = await gateways.PostAsync(gateways.Other, "/direct/pause", key);
            if (answer.Status is 200 or 201) // its own answer, or what the backend said when it was asked
            {
                return;
            }

            answers.Add($"{answer.Status} {answer.ProblemType}");
            await Task.Delay(Again);
        }

        Assert.Fail($"{key} is not answered: {string.Join(", ", answers.Distinct())}, and last {answers[^1]}; executed {gateways.Backend.ExecutionsOf(key)} times");
    }
}

public sealed class EmbeddedPauseTests(ITestOutputHelper output) : PauseTests(output), IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("pauses-");

    public void Dispose() => _folder.Delete(recursive: true);

    private protected override Task<PausedGateways> StartAsync(string? defects) => PausedGateways.StartAsync(
        endpoint: null, _ => new { Kind = "Embedded", Embedded = new { Path = Path.Combine(_folder.FullName, "idempotency.db") } }, defects: defects);
}

public abstract class SharedPauseTests(FaultyStore store, ITestOutputHelper output) : PauseTests(output), IAsyncLifetime
{
    public Task InitializeAsync() => store.StartAsync();

    public async Task DisposeAsync() => await store.DisposeAsync();

    private protected override Task<PausedGateways> StartAsync(string? defects) =>
        PausedGateways.StartAsync(store.Endpoint, endpoint => store.Section(endpoint!), defects: defects);
}

[OnRedis]
public sealed class RedisPauseTests(ITestOutputHelper output) : SharedPauseTests(new FaultyRedis(), output);

[OnPostgres]
public sealed class PostgresPauseTests(ITestOutputHelper output) : SharedPauseTests(new FaultyPostgres(), output);
