using System.Diagnostics;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>
/// What tests of a store that fails have in common: a backend as the witness, gateways whose only share is the store, and what must hold
/// in every outage. Keyed requests are refused in time, nothing is forwarded for them, and afterwards no key is blocked.
/// </summary>
public abstract class StoreFaults : IAsyncLifetime
{
    /// <summary>The log event: acknowledged writes are lost.</summary>
    private protected const string Alarm = "[2003]";

    /// <summary>The log event: the server is another one, and no own write is missing.</summary>
    private protected const string Restarted = "[2008]";

    /// <summary>The log event: own writes were put back.</summary>
    private protected const string PutBack = "[2005]";

    /// <summary>Of the route <c>/brief</c>: the shortest that a policy allows.</summary>
    private protected static readonly TimeSpan BriefLease = TimeSpan.FromSeconds(2);

    /// <summary>Three times the store's timeout: an answer after that would have waited for something else.</summary>
    private protected static readonly TimeSpan InTime = TimeSpan.FromSeconds(3);

    /// <summary>Less than the lease: a key that is free only because a lease ended was blocked.</summary>
    private static readonly TimeSpan Recovery = TimeSpan.FromSeconds(20);

    private ScriptedBackend? _backend;

    private protected HttpClient Client { get; } = KeyedRequests.NewClient();

    private protected string Key { get; } = EmbeddedGateway.NewKey();

    private protected ScriptedBackend Backend => _backend!;

    public virtual async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public virtual async Task DisposeAsync()
    {
        Client.Dispose();
        await (_backend?.DisposeAsync() ?? default);
    }

    /// <param name="store">The section <c>Store</c>.</param>
    /// <param name="environment">More of the process's environment.</param>
    private protected Task<GatewayProcess> StartGatewayAsync(object store, IReadOnlyDictionary<string, string>? environment = null) =>
        GatewayProcess.StartAsync(
            GatewayConfig.Write(
                store,
                new { bypass = new { StoreDown = "Bypass" }, brief = new { Lease = BriefLease.ToString("c") } },
                new GatewayRoute("/{**rest}", Backend.Url),
                new GatewayRoute("/bypass/{**rest}", Backend.Url, "bypass"),
                new GatewayRoute("/brief/{**rest}", Backend.Url, "brief"),
                new GatewayRoute("/plain/{**rest}", Backend.Url, Policy: null)),
            new Dictionary<string, string>(environment ?? new Dictionary<string, string>())
            {
                ["Idempotency__NearCopy__MaxEntries"] = "0", // every replay shall come from the store
            });

    /// <summary>As <see cref="StartGatewayAsync"/>; returns when it has found its store.</summary>
    private protected async Task<GatewayProcess> StartConnectedGatewayAsync(object store, IReadOnlyDictionary<string, string>? environment = null)
    {
        var gateway = await StartGatewayAsync(store, environment);
        await AssertRecoversAsync(gateway, EmbeddedGateway.NewKey());
        return gateway;
    }

    /// <summary>Under a host name that does not tell which gateway it is.</summary>
    private protected Task<Answer> PostAsync(GatewayProcess gateway, string key, string path = "/orders") =>
        KeyedRequests.PostAsync(Client, gateway.Url + path, key, headers: [KeyValuePair.Create("Host", "api.example")]);

    /// <summary>The first answer that is not put off.</summary>
    private protected async Task<Answer> PostUntilServedAsync(GatewayProcess gateway, string key, string path = "/orders")
    {
        Answer? answer = null;
        await Eventually.TrueAsync(
            async () => (answer = await PostAsync(gateway, key, path)).ProblemType is not ("store-unavailable" or "in-progress"),
            "the key is free",
            Recovery);
        return answer!;
    }

    private protected async Task AssertRefusedInTimeAsync(GatewayProcess gateway, string key)
    {
        var watch = Stopwatch.StartNew();
        var before = Backend.ArrivalsFor(key).Count;

        var answer = await PostAsync(gateway, key);

        Assert.Equal(before, Backend.ArrivalsFor(key).Count);
        Expect.Problem(503, "store-unavailable", answer);
        Assert.NotNull(answer.Header("Retry-After"));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
    }

    private protected async Task AssertUnkeyedWorksAsync(GatewayProcess gateway)
    {
        var watch = Stopwatch.StartNew();
        var post = await KeyedRequests.PostAsync(Client, gateway.Url + "/plain/1", key: null);
        var get = await KeyedRequests.SendAsync(Client, HttpMethod.Get, gateway.Url + "/orders/1", null, []);

        Assert.Equal((201, 201), (post.Status, get.Status));
        Assert.InRange(watch.Elapsed, TimeSpan.Zero, InTime);
    }

    /// <summary>A new key is refused until the store is found, or an own lost claim is undone; then its request is forwarded once.</summary>
    private protected async Task AssertRecoversAsync(GatewayProcess gateway, string key)
    {
        var first = await PostUntilServedAsync(gateway, key);

        Assert.Single(Backend.ArrivalsFor(key));
        Assert.Equal((201, false), (first.Status, first.IsReplay));

        // The machine is shared: a call of the store may be late again, and the first answer said that it is not on record yet.
        var kept = first with { Headers = [.. first.Headers.Where(field => field.Key != "Idempotency-Status")] };
        Expect.Replay(kept, await PostUntilServedAsync(gateway, key));
        Assert.Single(Backend.ArrivalsFor(key));
    }

    /// <summary>The answer was recorded before the fault: it is given again, and nothing arrives.</summary>
    private protected async Task AssertReplayedAsync(Answer first, GatewayProcess gateway, string key)
    {
        var retry = await PostUntilServedAsync(gateway, key);

        Assert.Single(Backend.ArrivalsFor(key));
        Expect.Replay(first, retry);
    }

    /// <summary>The answer was recorded before the fault, and a store that refuses to write may still tell it.</summary>
    private protected async Task AssertNotRunAgainAsync(Answer first, GatewayProcess gateway, string key)
    {
        var retry = await PostAsync(gateway, key);

        Assert.Single(Backend.ArrivalsFor(key));
        if (retry.IsReplay)
        {
            Expect.Replay(first, retry);
        }
        else
        {
            Expect.Problem(503, "store-unavailable", retry);
        }
    }

    /// <param name="eventId">As it stands in the log, such as <c>[2003]</c>.</param>
    /// <param name="gateways">All of them.</param>
    private protected static void AssertLogged(string eventId, params IEnumerable<GatewayProcess> gateways) =>
        Assert.All(gateways, gateway => Assert.Contains(gateway.Output, line => line.Contains(eventId, StringComparison.Ordinal)));

    private protected static void AssertNotLogged(string eventId, params IEnumerable<GatewayProcess> gateways) =>
        Assert.All(gateways, gateway => Assert.DoesNotContain(gateway.Output, line => line.Contains(eventId, StringComparison.Ordinal)));
}
