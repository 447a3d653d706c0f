using System.Net.Sockets;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>
/// Clients of a backend that is honest, beside those of the bad one: with keys under <c>Probe</c>, where "absent" counts at once, with keys under
/// <c>Retry</c>, and with a lock alone. The gateways reach it without a network that holds bytes back, so that what a gateway sent before it was stopped is there before anybody
/// asks; what takes long is the handshake before that: whatever runs twice, or at the same time, was sent by a gateway that had slept through its lease.
/// </summary>
internal sealed class HonestWork(HonestBackend backend, IReadOnlyList<GatewayNode> nodes) : IDisposable
{
    public const string KeyedPath = "/honest";
    public const string RetriedPath = "/retried";
    public const string LockedPath = "/alone";

    /// <summary>
    /// Of the way to the backend: most requests that a gateway is stopped with are those that it has decided to send and has not, which is what it
    /// must think of when it wakes.
    /// </summary>
    public static readonly TimeSpan Handshake = TimeSpan.FromMilliseconds(150);

    private const int Tries = 40;
    private const int Resources = 3;
    private readonly HttpClient _http = KeyedRequests.NewClient();

    /// <summary>All that the backend did.</summary>
    public IReadOnlyCollection<HonestExecution> History => backend.History;

    /// <summary>The policy below <see cref="KeyedPath"/>, where every operation has a path of its own.</summary>
    /// <param name="isOld">Of a release that may not know <c>AbsentAfter</c>; to 0.1.0, "absent" counts at once.</param>
    public static object Probe(TimeSpan lease, bool isOld) => new
    {
        Lease = lease,
        Uncertain = new { Retries = "Probe", Probe = new { Path = "/status/{key}", AbsentAfter = isOld ? null : "00:00:00" } },
    };

    /// <summary>The policy below <see cref="RetriedPath"/>, where every operation has a path of its own.</summary>
    public static object Retry(TimeSpan lease) => new { Lease = lease, Uncertain = new { Retries = "Retry" } };

    /// <summary>The policy below <see cref="LockedPath"/>.</summary>
    public static object Lock(TimeSpan lease) => new { Lease = lease, Key = Array.Empty<string>(), Lock = new { On = "route:resource" } };

    /// <summary>One operation after the other, each at any gateway until it is done; its locked twin is sent once.</summary>
    public async Task RunAsync(int worker, Dice dice, CancellationToken stop)
    {
        for (var number = 1; !stop.IsCancellationRequested; number++)
        {
            var (key, keyed) = ($"honest-{worker}-{number}", number % 2 == 0 ? RetriedPath : KeyedPath);
            for (var tries = 0; tries < Tries && !stop.IsCancellationRequested; tries++)
            {
                if (await TrySendAsync(dice.Pick(nodes), $"{keyed}/{key}", key, dice.Milliseconds(200, 1000)) is 200 or 201)
                {
                    break;
                }

                await Task.Delay(dice.Milliseconds(20, 150), CancellationToken.None);
            }

            await TrySendAsync(dice.Pick(nodes), $"{LockedPath}/{dice.Next(Resources)}", $"{key}-locked", dice.Milliseconds(200, 1000));
        }
    }

    public void Dispose() => _http.Dispose();

    private async Task<int?> TrySendAsync(GatewayNode node, string path, string key, TimeSpan patience)
    {
        using var hangUp = new CancellationTokenSource(patience);
        try
        {
            return (await KeyedRequests.PostAsync(_http, node.Url + path, key, headers: [new("Host", "api.example"), new("X-Operation", key)], cancellation: hangUp.Token)).Status;
        }
        catch (Exception broken) when (broken is OperationCanceledException or HttpRequestException or IOException or SocketException)
        {
            return null;
        }
    }
}
