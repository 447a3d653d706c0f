using System.Net;
using Yarp.ReverseProxy;

namespace Gateway.Forwarding;

/// <summary>What the backend said to a probe.</summary>
/// <param name="Status">Its status code.</param>
/// <param name="Headers">A pair per field line.</param>
/// <param name="Body">The whole body; null when it is larger than asked for.</param>
/// <param name="Trace">Whether its end can be trusted.</param>
internal sealed record ProbeAnswer(int Status, IReadOnlyList<KeyValuePair<string, string>> Headers, byte[]? Body, ForwardTrace Trace);

/// <summary>Asks a cluster's backend a question of the gateway's own, past routes and their transforms.</summary>
internal sealed class BackendProbe(IProxyStateLookup proxy)
{
    /// <summary>A question about one record; a backend that needs longer is in no state to be asked.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    /// <param name="clusterId">Whose backend.</param>
    /// <param name="target">Path and query, as they go out.</param>
    /// <param name="headers">Sent with it.</param>
    /// <param name="maxBodyBytes">The largest body that is of use.</param>
    /// <param name="cancellationToken">Whoever asked does not need the answer any more.</param>
    /// <returns>Null when no answer came.</returns>
    public async Task<ProbeAnswer?> GetAsync(
        string clusterId, string target, IReadOnlyList<KeyValuePair<string, string>> headers, long maxBodyBytes, CancellationToken cancellationToken)
    {
        if (!proxy.TryGetCluster(clusterId, out var cluster)
            || cluster.DestinationsState.AvailableDestinations is not [var destination, ..])
        {
            return null;
        }

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Timeout);
        using var request = new HttpRequestMessage(HttpMethod.Get, new Uri(string.Concat(destination.Model.Config.Address.AsSpan().TrimEnd('/'), target), AsWritten))
        {
            // As YARP forwards to this cluster.
            Version = cluster.Model.Config.HttpRequest?.Version ?? HttpVersion.Version20,
            VersionPolicy = cluster.Model.Config.HttpRequest?.VersionPolicy ?? HttpVersionPolicy.RequestVersionOrLower,
        };
        var trace = new ForwardTrace();
        request.Options.Set(ForwardTrace.Key, trace);
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        // The request went to this virtual host, by this TLS name; another one knows nothing of it.
        request.Headers.Host ??= destination.Model.Config.Host;
        try
        {
            using var response = await cluster.Model.HttpClient.SendAsync(request, deadline.Token);
            var fields = response.Headers.NonValidated.Concat(response.Content.Headers.NonValidated)
                .SelectMany(field => field.Value, (field, value) => KeyValuePair.Create(field.Key, value));
            await using var body = await response.Content.ReadAsStreamAsync(deadline.Token);
            return new ProbeAnswer((int)response.StatusCode, [.. fields], await BoundedBody.ReadAsync(body, maxBodyBytes, deadline.Token), trace);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            return null;
        }
    }
}
