using System.Collections.Concurrent;

namespace Idempotency.Yarp;

/// <summary>
/// How long requests of a route usually take at its backend, as this instance has seen it: when to come again for a request that is outstanding. The
/// lease says nothing of that.
/// </summary>
internal sealed class RouteTimes(TimeProvider time)
{
    /// <summary>Of the newest time in the average.</summary>
    private const double Weight = 0.25;

    /// <summary>In milliseconds. As many as there are routes.</summary>
    private readonly ConcurrentDictionary<string, double> _usual = new();

    public long Begin() => time.GetTimestamp();

    /// <param name="context">A request that was forwarded.</param>
    /// <param name="began">By <see cref="Begin"/>.</param>
    public void Took(HttpContext context, long began)
    {
        var took = time.GetElapsedTime(began).TotalMilliseconds;
        _usual.AddOrUpdate(RouteName.Of(context), took, (_, usual) => usual + (Weight * (took - usual)));
    }

    /// <summary>When to come again; at once, where nothing is known: asking costs one store round trip.</summary>
    /// <param name="context">Another request of the route.</param>
    /// <param name="atMost">What is left of the first one's lease, after which its outcome is known or uncertain.</param>
    public TimeSpan Until(HttpContext context, TimeSpan atMost)
    {
        var usual = TimeSpan.FromMilliseconds(_usual.GetValueOrDefault(RouteName.Of(context)));
        return usual < atMost ? usual : atMost;
    }
}
