using System.Globalization;
using System.Text;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>
/// A gateway kills itself at a point of a request's way; the client repeats the request at another one, on the same store, until it gets
/// an answer that stays. The backend numbers its answers, so that a replay is told apart from a second execution.
/// </summary>
/// <param name="store">The section <c>Store</c>.</param>
/// <param name="method">POST unless given.</param>
/// <param name="body">A small one unless given.</param>
/// <param name="padding">How much longer than its words the backend's answer is.</param>
internal sealed class CrashScenario(object store, HttpMethod? method = null, string body = "{}", int padding = 0) : IAsyncDisposable
{
    /// <summary>The shortest that a policy allows.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    public ScriptedBackend Backend => _backend!;

    public IReadOnlyList<Arrival> Arrivals => Backend.ArrivalsFor(_key);

    /// <summary>For a gateway of this scenario; valid after <see cref="StartAsync"/>.</summary>
    public string Config => GatewayConfig.Write(
        store,
        new { brief = new { Lease = Lease.ToString("c"), Methods = (string[])["POST", "PUT", "PATCH", "DELETE"] } },
        new GatewayRoute("/{**rest}", Backend.Url, "brief"));

    public async Task StartAsync()
    {
        _backend = await ScriptedBackend.StartAsync();
        _backend.Handler = AnswerAsync;
    }

    /// <returns>What the client got: null when its connection broke.</returns>
    public async Task<Answer?> CrashAsync(string point, string? defect = null)
    {
        await using var gateway = await HookedGateway.StartAsync(Config, point, defect);
        Answer? answer = null;
        try
        {
            // The first request of a process takes longest, on a busy machine longer than its store may take: then it is sent again.
            await Eventually.TrueAsync(
                async () => (answer = await SendAsync(gateway.Url)).ProblemType is not ("store-unavailable" or "in-progress"), "the request comes as far as its point");
        }
        catch (HttpRequestException)
        {
            // The process died under the request.
        }

        Assert.Equal(HookedGateway.Killed, await gateway.WaitForExitAsync());
        return answer;
    }

    /// <summary>Under a host name that does not tell which gateway it is.</summary>
    public Task<Answer> SendAsync(string url) => KeyedRequests.SendAsync(
        _client, method ?? HttpMethod.Post, url + "/orders", _key, Encoding.UTF8.GetBytes(body), [KeyValuePair.Create("Host", "api.example")]);

    /// <summary>Another key, so that a gateway has found its store when it is looked at within a lease.</summary>
    public Task WarmUpAsync(string url) => KeyedRequests.PostAsync(_client, url + "/orders", EmbeddedGateway.NewKey());

    /// <summary>Retries until the answer is another than "in progress", which it must be soon after the lease.</summary>
    public async Task<Answer> RetryAsync(string url)
    {
        var started = TimeProvider.System.GetTimestamp();
        var answer = await SendAsync(url);
        while (answer.ProblemType == "in-progress")
        {
            Expect.InProgress(answer);
            Assert.InRange(TimeProvider.System.GetElapsedTime(started), TimeSpan.Zero, 2 * Lease);
            await Task.Delay(TimeSpan.FromMilliseconds(100));
            answer = await SendAsync(url);
        }

        return answer;
    }

    /// <summary>Checks what the crash left, through another gateway: what the backend saw, what retries get, and that it stays so.</summary>
    public async Task AssertRecoveredAsync(CrashPoint point, string url)
    {
        var last = await RetryAsync(url);
        var again = await SendAsync(url);

        var outcome = last.IsReplay ? CrashPoint.Replay : last.Status == StatusCodes.Status201Created ? CrashPoint.Executed : last.ProblemType;
        var executions = outcome == CrashPoint.Executed ? 1 : 0;
        Assert.InRange(Arrivals.Count, point.LeastArrivals + executions, point.MostArrivals + executions);
        Assert.InRange(Arrivals.Count, 0, 1);
        Assert.Contains(outcome, point.Outcomes);
        if (outcome == CrashPoint.Uncertain)
        {
            Expect.Uncertain(last);
            Expect.Uncertain(again);
        }
        else
        {
            var text = $"execution 1{new string(' ', padding)}";
            Assert.Equal((201, text), (last.Status, last.Text));
            Assert.Equal((201, text, true), (again.Status, again.Text, again.IsReplay));
        }
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await (_backend?.DisposeAsync() ?? default);
    }

    private Task AnswerAsync(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status201Created;
        return context.Response.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"execution {Arrivals.Count}{new string(' ', padding)}"));
    }
}
