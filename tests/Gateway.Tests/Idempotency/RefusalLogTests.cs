using Gateway.Tests.Support;
using Idempotency.Yarp;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;
using Yarp.ReverseProxy.Model;

namespace Gateway.Tests.Idempotency;

/// <summary>Refusals have a line each, and none of them drowns the log.</summary>
public sealed class RefusalLogTests
{
    private const int LinesPerSecond = 20;
    private readonly FakeTimeProvider _time = new();
    private readonly FakeLogger _log = new();
    private readonly RefusalLog _refusals;

    public RefusalLogTests()
    {
        _log.ControlLevel(LogLevel.Debug, enabled: false);
        _refusals = new RefusalLog(_time, _log);
    }

    private IEnumerable<string> Lines => _log.Collector.GetSnapshot().Where(entry => entry.Id.Id == 1011).Select(entry => entry.Message);

    private IEnumerable<string> LeftOut => _log.Collector.GetSnapshot().Where(entry => entry.Id.Id == 1012).Select(entry => entry.Message);

    [Fact]
    public void ALine_SaysWhoWasRefused_AndWhy()
    {
        Refuse("orders", 1, "the key has a space");

        Assert.Contains("POST on route orders was refused, key-invalid: the key has a space", Assert.Single(Lines), StringComparison.Ordinal);
        Assert.Equal(LogLevel.Information, _log.Collector.LatestRecord.Level);
    }

    [Fact]
    public async Task MoreThanTwentyASecond_AreCounted_ForEachRouteApart()
    {
        _time.Advance(TimeSpan.FromHours(1));
        Refuse("orders", LinesPerSecond + 5);
        Refuse("users", 3);

        Assert.Equal(LinesPerSecond + 3, Lines.Count());
        Assert.Empty(LeftOut);
        _time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.TrueAsync(() => LeftOut.Any(), "the rest is counted");

        Assert.Contains("Route orders: 5 more", Assert.Single(LeftOut), StringComparison.Ordinal);
        Refuse("orders", 1);
        Assert.Equal(LinesPerSecond + 4, Lines.Count());
    }

    [Fact]
    public void AtDebug_NothingIsLeftOut()
    {
        _log.ControlLevel(LogLevel.Debug, enabled: true);

        Refuse("orders", 5 * LinesPerSecond);

        Assert.Equal(5 * LinesPerSecond, Lines.Count());
    }

    private void Refuse(string route, int times, string? reason = null)
    {
        var context = new DefaultHttpContext();
        context.Request.Method = "POST";
        context.Features.Set<IReverseProxyFeature>(new Proxied(route));
        foreach (var _ in Enumerable.Range(0, times))
        {
            _refusals.Write(context, Problem.KeyInvalid, record: null, reason);
        }
    }

    private sealed class Proxied(string route) : IReverseProxyFeature
    {
        public RouteModel Route { get; } = new(new RouteConfig { RouteId = route, ClusterId = "one" }, cluster: null, HttpTransformer.Default);

        public ClusterModel Cluster { get; set; } = null!;

        public IReadOnlyList<DestinationState> AllDestinations { get; set; } = [];

        public IReadOnlyList<DestinationState> AvailableDestinations { get; set; } = [];

        public DestinationState? ProxiedDestination { get; set; }
    }
}
