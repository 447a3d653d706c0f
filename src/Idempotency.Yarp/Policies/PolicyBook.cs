using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Policies;

/// <summary>The policies in force, and those of routes that YARP still serves as they were before the last reload.</summary>
/// <param name="policies">Those of the start.</param>
internal sealed class PolicyBook(IReadOnlyDictionary<string, IdempotencyPolicy> policies)
{
    private const string RevisionKey = "Idempotency.Revision";
    private const int KeptRevisions = 8;
    private static readonly IReadOnlyDictionary<string, IdempotencyPolicy> None = new Dictionary<string, IdempotencyPolicy>();

    private readonly ConcurrentDictionary<string, IReadOnlyDictionary<string, IdempotencyPolicy>> _revisions = new();
    private readonly Queue<string> _newest = new();

    /// <summary>By the instance, of which YARP makes a new one for each change: routes are looked up at every request.</summary>
    private readonly ConditionalWeakTable<RouteConfig, StrongBox<IdempotencyPolicy?>> _ofRoutes = [];
    private volatile IReadOnlyDictionary<string, IdempotencyPolicy> _current = policies;

    public IReadOnlyDictionary<string, IdempotencyPolicy> Current => _current;

    /// <summary>
    /// Puts other policies in force. Called before YARP is given the routes that are returned: their metadata says which policies were theirs, so that
    /// two reloads in a row do not mix, and YARP, which rebuilds only what changed, sees that a policy did.
    /// </summary>
    /// <param name="policies">From now on.</param>
    /// <param name="routes">The routes as configured.</param>
    /// <returns>The routes for YARP.</returns>
    public List<RouteConfig> Publish(IReadOnlyDictionary<string, IdempotencyPolicy> policies, IReadOnlyList<RouteConfig> routes)
    {
        var revision = Guid.NewGuid().ToString("n");
        _revisions[revision] = policies;
        if (_revisions.Count > KeptRevisions)
        {
            _revisions.TryRemove(_newest.Dequeue(), out _);
        }

        _newest.Enqueue(revision);
        _current = policies;
        return [.. routes.Select(route => RoutePolicy.NameOf(route) is null
            ? route
            : route with { Metadata = new Dictionary<string, string>(route.Metadata!, StringComparer.OrdinalIgnoreCase) { [RevisionKey] = revision } })];
    }

    /// <summary>The policy of a route as it was when the route was; null when it asks for none.</summary>
    /// <exception cref="InvalidOperationException">It asks for a policy that is not there; it must not be served unprotected.</exception>
    public IdempotencyPolicy? PolicyOf(RouteConfig route) =>
        route.Metadata is null ? null : (_ofRoutes.TryGetValue(route, out var known) ? known : _ofRoutes.GetValue(route, Find)).Value;

    /// <summary>Those among which the route's is; none when they are gone.</summary>
    public IReadOnlyDictionary<string, IdempotencyPolicy> PoliciesOf(RouteConfig route) =>
        route.Metadata?.TryGetValue(RevisionKey, out var revision) is true ? _revisions.GetValueOrDefault(revision, None) : _current;

    private StrongBox<IdempotencyPolicy?> Find(RouteConfig route) => new(!RoutePolicy.IsAskedFor(route) ? null : RoutePolicy.Of(route, PoliciesOf(route))
        ?? throw new InvalidOperationException($"The route {route.RouteId} asks for the idempotency policy {RoutePolicy.NameOf(route)}, which is not there."));
}
