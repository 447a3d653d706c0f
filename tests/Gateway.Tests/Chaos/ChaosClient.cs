using System.Diagnostics;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Clients that do what real ones do: repeat the same request with the same key after timeouts, conflicts, errors and broken
/// connections, at any gateway; hang up early; ask twice at once; and sometimes, by mistake, use a key again with another body.
/// </summary>
internal sealed class ChaosClient(IReadOnlyList<GatewayNode> nodes, Stopwatch clock) : IDisposable
{
    private const int MaxTries = 12;
    private static readonly TimeSpan FinalPatience = TimeSpan.FromSeconds(10);
    private readonly HttpClient _http = KeyedRequests.NewClient();

    /// <summary>Tries until there is an answer that ends the matter, then perhaps some more, as clients that lost it do.</summary>
    public async Task RunAsync(Operation operation, Dice dice, CancellationToken stop)
    {
        var left = MaxTries;
        while (left-- > 0 && !stop.IsCancellationRequested)
        {
            var (node, isChanged, hasTwin) = (dice.Pick(nodes), dice.Chance(7), dice.Chance(12));
            var patience = dice.Chance(15) ? dice.Milliseconds(1, 200) : dice.Milliseconds(1000, 6000);
            var (pause, more) = (dice.Milliseconds(20, 600), dice.Next(3));
            var twin = hasTwin ? SendAsync(operation, dice.Pick(nodes), isChanged: false, patience) : Task.CompletedTask;
            var attempt = await SendAsync(operation, node, isChanged, patience);
            await twin;
            if (IsEnd(attempt))
            {
                left = Math.Min(left, more);
            }

            await Task.Delay(pause, CancellationToken.None);
        }
    }

    /// <summary>After the faults: once more, until the answer is final or <paramref name="deadline"/> of the run's clock is over.</summary>
    public async Task FinishAsync(Operation operation, Dice dice, TimeSpan deadline)
    {
        do
        {
            var attempt = await SendAsync(operation, dice.Pick(nodes), isChanged: false, FinalPatience);
            if (attempt.Problem == "key-reused")
            {
                // The changed body came first, and the key is its.
                attempt = await SendAsync(operation, dice.Pick(nodes), isChanged: true, FinalPatience);
            }

            if (IsEnd(attempt))
            {
                operation.Final = attempt;
                return;
            }

            await Task.Delay(dice.Milliseconds(150, 250));
        }
        while (clock.Elapsed < deadline);
    }

    public void Dispose() => _http.Dispose();

    private static bool IsEnd(Attempt attempt) =>
        attempt.Problem is "outcome-uncertain" or "answer-not-kept" || (attempt.ExecutionId is not null && attempt.Answer!.Status != 503);

    private async Task<Attempt> SendAsync(Operation operation, GatewayNode node, bool isChanged, TimeSpan patience)
    {
        // The host is part of the fingerprint, and must not tell which gateway was asked.
        KeyValuePair<string, string>[] headers = [new("Host", "api.example"), new("Authorization", operation.Scope)];
        using var hangUp = new CancellationTokenSource(patience);
        var sent = clock.Elapsed;
        Answer? answer = null;
        string? failure = null;
        try
        {
            answer = await KeyedRequests.PostAsync(
                _http, node.Url + "/orders", operation.Key, operation.Body(isChanged), headers, hangUp.Token);
        }
        catch (OperationCanceledException)
        {
            failure = $"hung up after {patience.TotalMilliseconds} ms";
        }
        catch (Exception broken) when (broken is HttpRequestException or IOException)
        {
            failure = $"no answer, {broken.Message}";
        }

        var attempt = new Attempt(node.Name, isChanged, sent, clock.Elapsed, answer, failure);
        operation.Attempts.Enqueue(attempt);
        return attempt;
    }
}
