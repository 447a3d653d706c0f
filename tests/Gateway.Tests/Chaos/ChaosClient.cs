using System.Diagnostics;
using System.Net.Sockets;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Clients that do what real ones do: repeat the same request with the same key after timeouts, conflicts, errors and broken
/// connections, at any gateway; hang up early; ask twice at once; ask again at once; and sometimes, by mistake, use a key again with another
/// body.
/// </summary>
internal sealed class ChaosClient(IReadOnlyList<GatewayNode> nodes, Stopwatch clock) : IDisposable
{
    /// <summary>Part of the fingerprint; it must not tell which gateway was asked.</summary>
    private const string Host = "api.example";
    private const int MaxTries = 12;
    private static readonly TimeSpan FinalPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan PassPatience = TimeSpan.FromSeconds(5);
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
                pause = dice.Chance(50) ? TimeSpan.Zero : pause;
            }

            await Task.Delay(pause, CancellationToken.None);
        }
    }

    /// <summary>Asks all the time, for longer than the retention.</summary>
    public async Task InsistAsync(Operation operation, Dice dice, CancellationToken stop)
    {
        var until = clock.Elapsed + (Operation.BriefRetention * 4);
        while (clock.Elapsed < until && !stop.IsCancellationRequested)
        {
            var (node, patience) = (dice.Pick(nodes), dice.Milliseconds(1000, 2500));
            await node.DuringAsync(() => SendAsync(operation, node, isChanged: false, patience));
            await Task.Delay(dice.Milliseconds(20, 200), CancellationToken.None);
        }
    }

    /// <summary>A GET, which has nothing to do with any key.</summary>
    public async Task<Passage> PassAsync(GatewayNode node)
    {
        var sent = clock.Elapsed;
        var (answer, failure) = await TrySendAsync(node, PassPatience, hangUp =>
            KeyedRequests.SendAsync(_http, HttpMethod.Get, node.Url + Operation.LastingPath, key: null, [], cancellation: hangUp));
        return new Passage(node.Name, sent, clock.Elapsed, answer is null or { Status: 200 } ? failure : $"{answer.Status}");
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
        var body = operation.Body(isChanged);
        var sent = clock.Elapsed;
        var (answer, failure) = await TrySendAsync(
            node, patience, hangUp => body.Length == 0 ? SendBareAsync(operation, node, hangUp) : PostAsync(operation, node, body, hangUp));
        var attempt = new Attempt(node.Name, isChanged, sent, clock.Elapsed, answer, failure);
        operation.Attempts.Enqueue(attempt);
        return attempt;
    }

    private Task<Answer> PostAsync(Operation operation, GatewayNode node, string body, CancellationToken hangUp) => KeyedRequests.PostAsync(
        _http, node.Url + operation.Path, operation.Key, body, [new("Host", Host), new("Authorization", operation.Scope)], hangUp);

    /// <summary>Without content and without any field that speaks of content, which HttpClient would not send, or would send twice.</summary>
    private static async Task<Answer> SendBareAsync(Operation operation, GatewayNode node, CancellationToken hangUp)
    {
        await using var client = await RawClient.ConnectAsync(node.Url).WaitAsync(hangUp);
        await client.SendAsync(
            $"POST {operation.Path} HTTP/1.1\r\nHost: {Host}\r\nAuthorization: {operation.Scope}\r\nIdempotency-Key: {operation.Key}\r\n\r\n");
        var response = await client.ReadResponseAsync().WaitAsync(hangUp);
        return response is { IsComplete: true }
            ? new Answer(response.Status, response.Headers, response.Body)
            : throw new IOException("the answer was cut");
    }

    private static async Task<(Answer? Answer, string? Failure)> TrySendAsync(
        GatewayNode node, TimeSpan patience, Func<CancellationToken, Task<Answer>> send)
    {
        using var hangUp = new CancellationTokenSource(patience);
        try
        {
            return (await send(hangUp.Token), null);
        }
        catch (OperationCanceledException)
        {
            return (null, $"hung up after {patience.TotalMilliseconds} ms");
        }
        catch (Exception broken) when (broken is HttpRequestException or IOException or SocketException)
        {
            return (null, $"no answer from {node.Url}, {broken.Message}");
        }
    }
}
