using System.Net;
using Yarp.ReverseProxy;
using Yarp.ReverseProxy.Model;

namespace Idempotency.Yarp.Forwarding;

/// <summary>
/// Asks the backend of a route a question of the gateway's own, on the way that the route's requests go: through the route's transforms,
/// to the same virtual host and TLS name (which the client takes from <c>Host</c>), with the cluster's client.
/// </summary>
internal sealed class BackendProbe(IProxyStateLookup proxy)
{
    /// <summary>A question about one record; a backend that needs longer is in no state to be asked.</summary>
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(10);

    private static readonly UriCreationOptions AsWritten = new() { DangerousDisablePathAndQueryCanonicalization = true };

    /// <summary>
    /// Destinations of a cluster stand for each other, as load balancing takes them: the first that answers has the word. With session
    /// affinity they do not: any of them may have executed the request, so that all of them, also those that are out of service now, must
    /// say that it is absent.
    /// </summary>
    /// <param name="question">What to ask.</param>
    /// <param name="maxBodyBytes">The largest body that is of use.</param>
    /// <param name="judge">What an answer says.</param>
    /// <param name="cancellationToken">Whoever asked does not need the answer any more.</param>
    /// <returns>What was found out, and the last answer; null when none came.</returns>
    public async Task<(ProbeVerdict Verdict, ProbeAnswer? Answer)> AskAsync(
        ProbeRequest question, long maxBodyBytes, Func<ProbeAnswer, ProbeVerdict> judge, CancellationToken cancellationToken)
    {
        // A route that is gone, or leads elsewhere by now, cannot say where its requests went.
        if (!proxy.TryGetRoute(question.Origin.Route, out var route) || route.Cluster is not { } cluster
            || !cluster.ClusterId.Equals(question.Origin.Cluster, StringComparison.OrdinalIgnoreCase))
        {
            return default;
        }

        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Timeout);
        var isOneForAll = cluster.Model.Config.SessionAffinity?.Enabled is not true;
        var destinations = isOneForAll ? cluster.DestinationsState.AvailableDestinations : cluster.DestinationsState.AllDestinations;
        ProbeAnswer? last = null;
        var absent = 0;
        foreach (var destination in destinations)
        {
            if (await GetAsync(route, cluster.Model, destination, question, maxBodyBytes, deadline.Token) is not { } answer)
            {
                continue;
            }

            var verdict = judge(answer);
            if (verdict == ProbeVerdict.Found || isOneForAll)
            {
                return (verdict, answer);
            }

            last = answer;
            absent += verdict == ProbeVerdict.Absent ? 1 : 0;
        }

        return (last is not null && absent == destinations.Count ? ProbeVerdict.Absent : ProbeVerdict.Unclear, last);
    }

    /// <returns>Null when no answer came.</returns>
    private static async Task<ProbeAnswer?> GetAsync(
        RouteModel route, ClusterModel cluster, DestinationState destination, ProbeRequest question, long maxBodyBytes, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage
        {
            // As YARP forwards to this cluster.
            Version = cluster.Config.HttpRequest?.Version ?? HttpVersion.Version20,
            VersionPolicy = cluster.Config.HttpRequest?.VersionPolicy ?? HttpVersionPolicy.RequestVersionOrLower,
        };
        var trace = new ForwardTrace();
        request.Options.Set(ForwardTrace.Key, trace);
        try
        {
            var context = await TransformAsync(request, route, cluster, destination, question, cancellationToken);
            using var response = await cluster.HttpClient.SendAsync(request, cancellationToken);
            context.Response.StatusCode = (int)response.StatusCode;
            await route.Transformer.TransformResponseAsync(context, response, cancellationToken); // what the route hides from clients stays hidden
            await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
            return new ProbeAnswer(
                (int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, context.Response.Headers, await BoundedBody.ReadAsync(body, maxBodyBytes, cancellationToken), trace);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Fills in what YARP fills in for a request of this route to this destination; but for the path, which stays encoded.</summary>
    /// <returns>What stands for the request's context.</returns>
    private static async Task<HttpContext> TransformAsync(
        HttpRequestMessage request, RouteModel route, ClusterModel cluster, DestinationState destination, ProbeRequest question, CancellationToken cancellationToken)
    {
        var queryAt = question.Target.IndexOf('?', StringComparison.Ordinal);
        var (path, query) = queryAt < 0 ? (question.Target, "") : (question.Target[..queryAt], question.Target[queryAt..]);
        var context = question.Origin.NewContext(new QueryString(query));
        context.Features.Set(PolicyApplied.Mark); // a question that a policy asks
        context.Features.Set<IReverseProxyFeature>(new ReverseProxyFeature
        {
            Route = route,
            Cluster = cluster,
            AllDestinations = [destination],
            AvailableDestinations = [destination],
            ProxiedDestination = destination,
        });
        var prefix = destination.Model.Config.Address;
        await route.Transformer.TransformRequestAsync(context, request, prefix, cancellationToken);
        if (ForwardingTransforms.ChangesQuery(route.Config))
        {
            query = request.RequestUri!.Query;
        }

        (request.Method, request.Content) = (HttpMethod.Get, null);
        request.RequestUri = new Uri(string.Concat(prefix.AsSpan().TrimEnd('/'), question.AsWritten ? path : ProbePath.Of(route.Config, path), query), AsWritten);
        foreach (var (name, value) in question.Headers)
        {
            request.Headers.Remove(name);
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return context;
    }
}
