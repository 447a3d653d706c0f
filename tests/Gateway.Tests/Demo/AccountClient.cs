using System.Net.Sockets;
using System.Text.Json;
using Gateway.Tests.Chaos;
using Gateway.Tests.Support;

namespace Gateway.Tests.Demo;

/// <summary>A client that wants an account, and asks with the same key until it has a final answer.</summary>
internal sealed class AccountClient(HttpClient http, string url)
{
    int _requests;

    public int Requests => _requests;

    /// <param name="reference">Says by its beginning which form of the system is asked: aware, or legacy.</param>
    /// <returns>201, or 409 where the gateway says that the outcome is uncertain and stays so.</returns>
    /// <exception cref="InvalidOperationException">There was an answer that no client should get.</exception>
    public async Task<int> OpenAsync(string reference, Dice dice)
    {
        await Task.Delay(dice.Milliseconds(0, 1000)); // clients do not come all at once
        var path = reference.StartsWith("aware", StringComparison.Ordinal) ? AccountSystem.KeyAware : AccountSystem.Legacy;
        while (true)
        {
            var answer = await TryPostAsync(path, reference, dice.Milliseconds(200, 4000));
            switch (answer)
            {
                case { Status: 201 }:
                    return JsonElement.Parse(answer.Body).GetProperty("reference").GetString() == reference
                        ? answer.Status
                        : throw new InvalidOperationException($"{reference} was answered {answer.Text}");
                case { Status: 409, ProblemType: "outcome-uncertain" } when path == AccountSystem.Legacy:
                    return answer.Status;
                case null or { Status: 409 or 502 or 503 or 504 }:
                    await Task.Delay(dice.Milliseconds(50, 500));
                    break;
                default:
                    throw new InvalidOperationException($"{reference} was answered {answer.Status} {answer.Text}");
            }
        }
    }

    async Task<Answer?> TryPostAsync(string path, string reference, TimeSpan patience)
    {
        Interlocked.Increment(ref _requests);
        using var hangUp = new CancellationTokenSource(patience);
        try
        {
            return await KeyedRequests.PostAsync(
                http, url + path, reference, $$"""{"reference":"{{reference}}","owner":"Ann","deposit":100}""", cancellation: hangUp.Token);
        }
        catch (Exception lost) when (lost is HttpRequestException or SocketException or OperationCanceledException)
        {
            return null;
        }
    }
}
