using System.Collections.Concurrent;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// Gateway processes that share a store, with a policy for each behaviour that can be chosen, shared by the tests of a class. Tests keep
/// apart by paths of their own: a backend answers by path, and what arrived is looked up by path.
/// </summary>
public abstract class PolicyGateways : IAsyncLifetime
{
    /// <summary>Of most policies: the shortest that is allowed.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    /// <summary>Of the policy <c>brief</c>, whose lease is as short as the others'.</summary>
    public static readonly TimeSpan BriefRetention = TimeSpan.FromSeconds(3);

    /// <summary>Of the policies <c>streamed</c> and <c>observe</c>, in bytes: kept answers, and requests.</summary>
    public const int SmallLimit = 1024;

    private const string BriefLease = "00:00:02";

    private static readonly Dictionary<string, object> AllPolicies = new()
    {
        ["wait"] = new { InFlight = new { Duplicates = "Wait", MaxWait = "00:00:10" } },
        ["crowd"] = new { InFlight = new { Duplicates = "Wait", MaxWait = "00:00:30", MaxWaiters = 1000 } },
        ["short"] = new { InFlight = new { Duplicates = "Wait", MaxWait = "00:00:01" } },
        ["narrow"] = new { InFlight = new { Duplicates = "Wait", MaxWait = "00:00:10", MaxWaiters = 1 } },
        ["retry"] = new { Lease = BriefLease, Uncertain = new { Retries = "Retry" } },
        ["probe"] = new
        {
            Lease = BriefLease,
            Uncertain = new
            {
                Retries = "Probe",
                Probe = new { Path = "/status/{route:id}?key={key}&url={body:/url}", Headers = new Dictionary<string, string> { ["X-Asked-By"] = "the gateway" }, Found = (int[])[200, 203], AbsentAfter = "00:00:00" },
            },
        },
        ["probe-patient"] = new { Lease = BriefLease, Uncertain = new { Retries = "Probe", Probe = new { Path = "/status/{route:id}" } } },
        ["seat"] = new { Lease = BriefLease, Lock = new { On = "route:seat" } },
        ["retry-seat"] = new { Lease = BriefLease, Uncertain = new { Retries = "Retry" }, Lock = new { On = "route:seat" } },
        ["queue"] = new { Lease = BriefLease, Lock = new { On = "route:seat", Contention = "Wait", MaxWait = "00:00:10" } },
        ["long-queue"] = new { Lock = new { On = "route:seat", Contention = "Wait", MaxWait = "60s", MaxWaiters = 60 } },
        ["alone"] = new { Lease = BriefLease, Key = Array.Empty<string>(), Lock = new { On = "route:seat" } },
        ["several"] = new { Lease = BriefLease, Lock = new { On = (string[])["route:seat", "body:/show", "header:X-House"] } },
        ["streamed"] = new { Lease = BriefLease, Response = new { Delivery = "Streamed", MaxBodyBytes = SmallLimit } },
        ["observe"] = new { Lease = BriefLease, Mode = "Observe", MaxRequestBodyBytes = SmallLimit },
        ["brief"] = new { Lease = BriefLease, Retention = BriefRetention.ToString("c"), Uncertain = new { Retries = "Retry" } },
    };

    private readonly ConcurrentDictionary<string, Func<HttpContext, Task>> _answers = new();
    private readonly List<GatewayProcess> _gateways = [];
    private ScriptedBackend? _backend;

    public ScriptedBackend Backend => _backend!;

    /// <summary>Where most requests go.</summary>
    public GatewayProcess First => _gateways[0];

    /// <summary>Another instance on the same store, where the store allows several that hear of each other; else the same.</summary>
    public GatewayProcess Other => _gateways[^1];

    public IReadOnlyList<GatewayProcess> Gateways => _gateways;

    public HttpClient Client { get; } = KeyedRequests.NewClient();

    protected virtual int Count => 1;

    /// <summary>False where the store cannot be had: the tests are skipped.</summary>
    protected virtual bool IsUsable => true;

    /// <summary>The section <c>Store</c>.</summary>
    protected abstract object StoreSection { get; }

    public virtual async Task InitializeAsync()
    {
        if (IsUsable)
        {
            _backend = await ScriptedBackend.StartAsync(AnswerAsync);
            await StartStoreAsync();
            _gateways.AddRange(await Task.WhenAll(Enumerable.Range(0, Count).Select(_ => StartGatewayAsync())));
        }
    }

    public virtual async Task DisposeAsync()
    {
        Client.Dispose();
        foreach (var gateway in _gateways)
        {
            await gateway.DisposeAsync();
        }

        await (_backend?.DisposeAsync() ?? default);
    }

    /// <summary>One more gateway on the same store, for a test that kills it, or that needs other settings of the process.</summary>
    /// <param name="environment">Overrides, such as <c>Limits__MaxWaiters</c>.</param>
    public Task<GatewayProcess> StartGatewayAsync(params (string Name, string Value)[] environment)
    {
        var routes = new List<GatewayRoute>
        {
            new("/plain/{**rest}", Backend.Url, Policy: null),
            new("/probe/{id}", Backend.Url, "probe"),
            new("/probe-patient/{id}", Backend.Url, "probe-patient"),
            new("/probe-http2/{id}", Backend.Http2Url, "probe", HttpVersion: "2"),
        };
        routes.AddRange(((string[])["wait", "crowd", "short", "narrow", "retry", "streamed", "observe", "brief"]).Select(policy => new GatewayRoute($"/{policy}/{{**rest}}", Backend.Url, policy)));
        routes.AddRange(((string[])["seat", "retry-seat", "queue", "long-queue", "alone", "several"]).Select(policy => new GatewayRoute($"/{policy}/{{seat}}", Backend.Url, policy)));
        routes.AddRange(((string[])["streamed", "observe"]).Select(policy => new GatewayRoute($"/{policy}-down/{{**rest}}", Nowhere, policy)));
        routes.Add(new GatewayRoute("/plain-down/{**rest}", Nowhere, Policy: null));
        var config = GatewayConfig.Write(
            StoreSection, AllPolicies.Where(policy => Has(policy.Key)).ToDictionary(), [.. routes.Where(route => route.Policy is null || Has(route.Policy))]);
        return GatewayProcess.StartAsync(config, environment.ToDictionary(item => item.Name, item => item.Value));
    }

    /// <summary>All gateways die and come again: what is known then stands in the store.</summary>
    public async Task RestartAsync()
    {
        foreach (var gateway in _gateways)
        {
            await gateway.KillAsync();
            await gateway.StartAgainAsync();
        }
    }

    /// <summary>A path that no other test uses.</summary>
    public static string NewPath(string policy) => $"/{policy}/{Guid.NewGuid():N}";

    /// <summary>How the backend answers at a path, instead of by <see cref="ScriptedBackend.AnswerCreatedAsync"/>.</summary>
    public void AnswerAt(string path, Func<HttpContext, Task> answer) => _answers[path] = answer;

    /// <summary>From now on requests to this path are entered in the ledger, and answered when the returned point is released.</summary>
    public SyncPoint HoldAt(string path)
    {
        var held = new SyncPoint();
        AnswerAt(path, async context =>
        {
            await held.Released;
            await Backend.AnswerCreatedAsync(context);
        });
        return held;
    }

    /// <summary>The backend reads the next request to this path and cuts the connection; after that it answers as usual.</summary>
    public void CutOnceAt(string path) => AnswerAt(path, context =>
    {
        _answers.TryRemove(path, out _);
        context.Abort();
        return Task.CompletedTask;
    });

    public IReadOnlyList<Arrival> ArrivalsAt(string path) => [.. Backend.Ledger.Where(arrival => arrival.Target == path)];

    public Task ArrivedAsync(string path, int count = 1) =>
        Eventually.TrueAsync(() => ArrivalsAt(path).Count >= count, $"{count} arrivals at {path}");

    /// <summary>Through one of the gateways, under a host name that does not tell which.</summary>
    public Task<Answer> PostAsync(GatewayProcess gateway, string path, string? key, string body = "{}", params (string Name, string Value)[] headers) =>
        KeyedRequests.PostAsync(
            Client, gateway.Url + path, key, body, [KeyValuePair.Create("Host", "api.example"), .. headers.Select(header => KeyValuePair.Create(header.Name, header.Value))]);

    /// <summary>The first answer that is not 409, and so for as long as a lease may run.</summary>
    public async Task<Answer> PostUntilAnsweredAsync(GatewayProcess gateway, string path, string? key, string body = "{}")
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PostAsync(gateway, path, key, body)).Status is not (409 or 503), "the request is answered");
        return answer!;
    }

    /// <summary>Returns when every gateway serves keyed requests again, after the store was away.</summary>
    public async Task StoreIsBackAsync()
    {
        foreach (var gateway in _gateways)
        {
            Assert.Equal(StatusCodes.Status201Created, (await PostUntilAnsweredAsync(gateway, NewPath("wait"), EmbeddedGateway.NewKey())).Status);
        }
    }

    /// <summary>Takes the store away from the gateways, until it is disposed.</summary>
    public abstract Task<IAsyncDisposable> SuspendStoreAsync();

    /// <summary>The recorded answers, as they stand in the store, by record.</summary>
    public abstract Task<IReadOnlyDictionary<string, byte[]>> ReadAnswersAsync();

    /// <summary>Writes another answer into a record, behind the gateways' back.</summary>
    public abstract Task WriteAnswerAsync(string record, byte[] answer);

    /// <summary>Everything that the store keeps, names included; a character is a byte.</summary>
    public abstract Task<string> ReadAllAsync();

    /// <summary>Another instance's view of the store.</summary>
    internal abstract Task<IIdempotencyStore> OpenStoreAsync();

    protected abstract Task StartStoreAsync();

    /// <summary>False leaves out a policy and its routes.</summary>
    protected virtual bool Has(string policy) => true;

    /// <summary>Nobody listens there.</summary>
    private static string Nowhere { get; } = FormattableString.Invariant($"http://127.0.0.1:{LoopbackPorts.Reserve()}");

    private Task AnswerAsync(HttpContext context) =>
        _answers.TryGetValue(context.Request.Path.Value!, out var answer) ? answer(context) : Backend.AnswerCreatedAsync(context);
}
