using System.Text.Json;
using Gateway.Tests.Support;

namespace Gateway.Tests.Faults;

/// <summary>
/// Two gateway processes on one store before an honest backend: one that a test stops by SIGSTOP, whose ways to the store and to the backend
/// it can hold back, and another one that goes on.
/// </summary>
internal sealed class PausedGateways : IAsyncDisposable
{
    /// <summary>The shortest that a policy allows.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);

    /// <summary>What the backend has executed when a test begins: a request of each gateway, see <see cref="WarmAsync"/>.</summary>
    public const int FirstRequests = 2;

    /// <summary>More than the sockets between two processes take.</summary>
    private const int MaxBody = 32 * 1024 * 1024;

    /// <summary>Longer than the lease by what a busy machine needs.</summary>
    private static readonly TimeSpan Sleep = TimeSpan.FromSeconds(3);

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private GatewayProcess? _stopped;
    private GatewayProcess? _other;

    private PausedGateways(HonestBackend backend, TcpProxy backendLink, TcpProxy? storeLink)
    {
        (Backend, BackendLink, StoreLink) = (backend, backendLink, storeLink);
    }

    public HonestBackend Backend { get; }

    /// <summary>From the first gateway to the backend's TLS.</summary>
    public TcpProxy BackendLink { get; }

    /// <summary>From the first gateway to the store, where that is a server.</summary>
    public TcpProxy? StoreLink { get; }

    public GatewayProcess Stopped => _stopped!;

    public GatewayProcess Other => _other!;

    /// <param name="endpoint">Of the store's server; null for a file.</param>
    /// <param name="store">The section <c>Store</c> of a gateway that reaches the server there.</param>
    /// <param name="absentAfter">The policy's <c>AbsentAfter</c>; null for its default.</param>
    /// <param name="defects">Names of <see cref="Defects"/>; null for none.</param>
    public static async Task<PausedGateways> StartAsync(string? endpoint, Func<string?, object> store, string? absentAfter = "00:00:00", string? defects = null)
    {
        var backend = await HonestBackend.StartAsync();
        var gateways = new PausedGateways(backend, TcpProxy.Start(backend.TlsEndpoint), endpoint is null ? null : TcpProxy.Start(endpoint));
        return await Starting.OrDisposedAsync(gateways, async () =>
        {
            var environment = defects is null ? [] : Defects.Environment(defects);
            gateways._stopped = await GatewayProcess.StartAsync(
                Configuration(store(gateways.StoreLink?.Endpoint), $"https://{gateways.BackendLink.Endpoint}", backend.Url, absentAfter), environment);
            gateways._other = await GatewayProcess.StartAsync(Configuration(store(endpoint), backend.Url, backend.Url, absentAfter), environment);
            await gateways.WarmAsync();
        });
    }

    /// <summary>Through one of them, under a host name that does not tell which.</summary>
    /// <param name="gateway">Which.</param>
    /// <param name="path">
    /// Below <c>/probe</c>, <c>/direct</c> (the same, always in clear), <c>/seat</c> (key and lock) or <c>/alone</c> (lock only); <c>/probe1</c> and
    /// <c>/alone1</c> go over HTTP/1.1 where the others go over HTTP/2.
    /// </param>
    /// <param name="key">Also names the operation to the backend.</param>
    /// <param name="body">What is posted.</param>
    /// <param name="cancellation">The client hangs up.</param>
    public Task<Answer> PostAsync(GatewayProcess gateway, string path, string key, string body = "{}", CancellationToken cancellation = default) => KeyedRequests.PostAsync(
        _client, gateway.Url + path, key, body, headers: [new("Host", "api.example"), new("X-Operation", key)], cancellation: cancellation);

    /// <summary>At the gateway that goes on, until the answer is none that says to come back.</summary>
    public async Task<Answer> PostUntilAnsweredAsync(string path, string key, string body = "{}")
    {
        Answer? answer = null;
        await Eventually.TrueAsync(async () => (answer = await PostAsync(Other, path, key, body)).Status is not (409 or 503), "the request is answered");
        return answer!;
    }

    /// <summary>SIGSTOP for longer than a lease, and SIGCONT, with something done meanwhile. When it wakes, everything that was held back is there.</summary>
    public async Task SleepAsync(Func<Task> meanwhile)
    {
        await Stopped.PauseAsync();
        await Task.WhenAll(Task.Delay(Sleep), meanwhile());
        BackendLink.Heal();
        StoreLink?.Heal();
        await Task.Delay(TimeSpan.FromMilliseconds(100)); // to the socket of a process that does not read it
        await Stopped.ResumeAsync();
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await (_stopped?.DisposeAsync() ?? default);
        await (_other?.DisposeAsync() ?? default);
        await BackendLink.DisposeAsync();
        await (StoreLink?.DisposeAsync() ?? default);
        await Backend.DisposeAsync();
    }

    /// <summary>The first request of a process takes longest, and on a busy machine longer than its store may take.</summary>
    private async Task WarmAsync()
    {
        foreach (var gateway in (GatewayProcess[])[Stopped, Other])
        {
            var key = $"first-{gateway.Pid}";
            await Eventually.TrueAsync(async () => (await PostAsync(gateway, "/direct/first", key)).Status is not (409 or 503), "it serves");
        }
    }

    private static string Configuration(object store, string backend, string inClear, string? absentAfter)
    {
        var uncertain = new
        {
            Retries = "Probe",
            Probe = absentAfter is null ? (object)new { Path = "/status/{key}" } : new { Path = "/status/{key}", AbsentAfter = absentAfter },
        };
        var seat = new { On = "route:seat", Contention = "Wait", MaxWait = "00:00:30" };
        object RouteTo(string path, string cluster, string policy) => new { ClusterId = cluster, Match = new { Path = path }, Metadata = new { Idempotency = policy } };
        object ClusterAt(string address, string version = "2") => new
        {
            HttpRequest = new { Version = version },
            HttpClient = new { DangerousAcceptAnyServerCertificate = true },
            Destinations = new { one = new { Address = address } },
        };
        return JsonSerializer.Serialize(new
        {
            Store = store,
            Idempotency = new
            {
                Policies = new
                {
                    probe = new { Lease, MaxRequestBodyBytes = MaxBody, Uncertain = uncertain },
                    seat = new { Lease, Uncertain = uncertain, Lock = seat },
                    alone = new { Lease, MaxRequestBodyBytes = MaxBody, Key = Array.Empty<string>(), Lock = seat },
                },
            },
            ReverseProxy = new
            {
                Routes = new
                {
                    probe = RouteTo("/probe/{**rest}", "tls", "probe"),
                    probe1 = RouteTo("/probe1/{**rest}", "tls1", "probe"),
                    direct = RouteTo("/direct/{**rest}", "clear", "probe"),
                    seat = RouteTo("/seat/{seat}", "clear", "seat"),
                    alone = RouteTo("/alone/{seat}", "tls", "alone"),
                    alone1 = RouteTo("/alone1/{seat}", "tls1", "alone"),
                },
                Clusters = new { tls = ClusterAt(backend), tls1 = ClusterAt(backend, "1.1"), clear = ClusterAt(inClear) },
            },
        });
    }
}
