using System.Collections.Concurrent;
using System.Globalization;
using System.Security.Cryptography;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// 50 keys, 200 identical requests each, all at once: 10,000 requests spread over gateways that share a store. The backend answers
/// with random bytes, and not before a duplicate was refused, so that every key is contended.
/// </summary>
internal sealed class DuplicateStorm
{
    private const int DuplicatesPerKey = 200;
    private const int KeysAtATime = 4;
    private const int MaxAnswerBytes = 100_000;
    private static readonly string[] MultiValues = ["one, with a comma", "two"];

    private readonly ConcurrentDictionary<string, byte[]> _executed = new();
    private readonly ConcurrentDictionary<string, Answer> _firstAnswers = new();
    private readonly ConcurrentDictionary<string, SyncPoint> _contended = new();
    private readonly ScriptedBackend _backend;
    private readonly HttpClient _client;

    public DuplicateStorm(ScriptedBackend backend, HttpClient client)
    {
        (_backend, _client) = (backend, client);
        _backend.Handler = AnswerAsync;
        foreach (var number in Enumerable.Range(0, 50))
        {
            _contended[string.Create(CultureInfo.InvariantCulture, $"storm-{number}-{Guid.NewGuid():N}")] = new SyncPoint();
        }
    }

    private IEnumerable<string> Keys => _contended.Keys;

    /// <summary>Sends them all, and checks what the backend saw and what every client got.</summary>
    public Task RunAsync(IReadOnlyList<string> gatewayUrls) => Parallel.ForEachAsync(
        Keys,
        new ParallelOptions { MaxDegreeOfParallelism = KeysAtATime },
        async (key, _) =>
        {
            var answers = await Task.WhenAll(Enumerable.Range(0, DuplicatesPerKey).Select(i => SendAsync(gatewayUrls[i % gatewayUrls.Count], key)));

            Assert.Single(_backend.ArrivalsFor(key));
            var first = _firstAnswers[key] = Assert.Single(answers, answer => answer.Status == 201 && !answer.IsReplay);
            Assert.Equal(_executed[key], first.Body);
            Assert.Equal(MultiValues, first.HeaderValues("X-Multi"));
            Assert.Contains(answers, answer => answer.Status == 409);
            foreach (var answer in answers.Where(answer => answer != first))
            {
                if (answer.Status == 409)
                {
                    Expect.InProgress(answer);
                }
                else
                {
                    Expect.Replay(first, answer);
                }
            }
        });

    /// <summary>Repeats every request once more at each gateway: nothing reaches the backend, and all get the first answer.</summary>
    public async Task AssertAllReplayAsync(IReadOnlyList<string> gatewayUrls)
    {
        var before = _backend.Ledger.Count;
        foreach (var (key, url) in Keys.SelectMany(key => gatewayUrls, (key, url) => (key, url)))
        {
            Expect.Replay(_firstAnswers[key], await SendAsync(url, key));
        }

        Assert.Equal(before, _backend.Ledger.Count);
    }

    /// <summary>Every other key's requests have no body, as those that HTTP clients like to repeat by themselves.</summary>
    private async Task<Answer> SendAsync(string url, string key)
    {
        var body = key.Split('-')[1] is [.., '0' or '2' or '4' or '6' or '8'] ? [] : "{\"amount\":1}"u8.ToArray();
        var answer = await KeyedRequests.SendAsync(
            _client, HttpMethod.Post, url + "/payments", key, body, [KeyValuePair.Create("Host", "api.example")]);
        if (answer.Status == 409)
        {
            _contended[key].Release();
        }

        return answer;
    }

    private async Task AnswerAsync(HttpContext context)
    {
        var key = context.Request.Headers["Idempotency-Key"].ToString();
        await _contended[key].Released;
        var body = RandomNumberGenerator.GetBytes(RandomNumberGenerator.GetInt32(MaxAnswerBytes + 1));
        context.Response.StatusCode = StatusCodes.Status201Created;
        context.Response.ContentType = "application/octet-stream";
        context.Response.Headers.Append("X-Multi", MultiValues[0]);
        context.Response.Headers.Append("X-Multi", MultiValues[1]);
        Assert.True(_executed.TryAdd(key, body), "executed twice");
        await context.Response.Body.WriteAsync(body);
    }
}
