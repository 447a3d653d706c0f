using System.Diagnostics;
using System.Net;
using System.Text;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Xunit;
using Yarp.ReverseProxy.Configuration;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Library;

/// <summary>The library in another host: the same promise, and a host that was put together wrongly does not start.</summary>
public sealed class YarpHostTests : IAsyncLifetime
{
    private static readonly KeyValuePair<string, string>[] Alice = [new("Authorization", "Bearer alice")];

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private ScriptedBackend? _backend;

    private ScriptedBackend Backend => _backend!;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync();

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await Backend.DisposeAsync();
    }

    [Fact]
    public async Task FirstAndRetry_ReachTheBackendOnce()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);

        var first = await PostAsync(host, "k1");
        var replay = await PostAsync(host, "k1");

        Assert.Single(Backend.ArrivalsFor("\"k1\""));
        Assert.Equal((201, first.Text, true), (replay.Status, replay.Text, replay.IsReplay));
        Assert.False(first.IsReplay);
    }

    [Fact]
    public async Task AnotherBody_IsRefused()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        await PostAsync(host, "k1");

        var other = await PostAsync(host, "k1", """{"amount":2}""");

        Assert.Single(Backend.Ledger);
        Assert.Equal((422, "key-reused"), (other.Status, other.ProblemType));
    }

    [Fact]
    public async Task ADuplicateInFlight_IsAConflict()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        var held = Backend.Hold();
        var first = PostAsync(host, "k1");
        await Backend.WaitForArrivalsAsync(1);

        var duplicate = await PostAsync(host, "k1");
        held.Release();

        Assert.Equal((409, 201), (duplicate.Status, (await first).Status));
        Assert.Single(Backend.Ledger);
    }

    [Fact]
    public async Task AConnectionThatBreaks_LeavesAnUncertainKey()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        Backend.Handler = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };

        var first = await PostAsync(host, "k1");
        Backend.Handler = Backend.AnswerCreatedAsync;
        var retry = await PostAsync(host, "k1");

        Assert.Single(Backend.Ledger);
        Assert.Equal((502, "outcome-uncertain"), (first.Status, retry.ProblemType));
    }

    [Fact]
    public async Task ABackendThatIsNotThere_LeavesTheKeyFree()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        await Backend.StopAsync();
        var refused = await PostAsync(host, "k1");
        await Backend.StartAgainAsync();

        var retry = await PostAsync(host, "k1");

        Assert.Equal((502, 201), (refused.Status, retry.Status));
        Assert.Single(Backend.Ledger);
    }

    [Fact]
    public async Task RouteWithoutAPolicy_IsPlainYarp()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url, policy: null, pipeline: _ => { });

        await PostAsync(host, "k1");
        await PostAsync(host, "k1");

        Assert.Equal(2, Backend.Ledger.Count);
    }

    [Fact]
    public async Task TheSpecification_AndTheHealthCheck_AreThere()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);

        var specification = await KeyedRequests.SendAsync(_client, HttpMethod.Get, $"{host.Url}/.well-known/idempotency", key: null, [], [new("Accept", "application/json")]);
        Assert.Contains("\"policy\":\"orders\"", specification.Text, StringComparison.Ordinal);
        Assert.Equal("Healthy", await _client.GetStringAsync($"{host.Url}/ready"));
    }

    [Fact]
    public async Task AReload_WithAnUnknownPolicy_LeavesTheRouteAsItWas()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        await PostAsync(host, "k1");

        host.Routes.Update([YarpHost.Route("no-such")], [YarpHost.Cluster(Backend.Url)]);

        await Eventually.TrueAsync(() => host.Log.GetSnapshot().Any(line => line.Exception?.ToString().Contains("no-such", StringComparison.Ordinal) is true), "refused");
        Assert.True((await PostAsync(host, "k1")).IsReplay);
        Assert.Single(Backend.Ledger);
        Assert.True((await KeyedRequests.PostAsync(_client, $"{host.Url}/orders/a%2fb", "k2")).Status is 201);
        Assert.Contains("/orders/", await _client.GetStringAsync(new Uri($"{host.Url}/.well-known/idempotency")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AReload_ThatTakesThePolicyAway_TakesEffect()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        await PostAsync(host, "k1");

        host.Routes.Update([YarpHost.Route(null)], [YarpHost.Cluster(Backend.Url)]);

        await Eventually.TrueAsync(async () => !(await PostAsync(host, "k1")).IsReplay, "plain");
        Assert.True(Backend.Ledger.Count > 1);
    }

    /// <summary>A path that a backend may read as the guarded one, on a route of a provider that is none of ours.</summary>
    [Fact]
    public async Task AnOpenRoute_IsNoWayIntoAGuardedOne()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url);
        host.Routes.Update(
            [YarpHost.Route("orders"), YarpHost.Route(null, "/{**all}") with { RouteId = "open" }], [YarpHost.Cluster(Backend.Url)]);
        await Eventually.TrueAsync(async () => (await _client.GetAsync(new Uri($"{host.Url}/else"))).StatusCode != HttpStatusCode.NotFound, "loaded");
        var before = Backend.Ledger.Count;

        var answer = await KeyedRequests.PostAsync(_client, $"{host.Url}/open/..%2forders/1", "k1");

        Assert.Equal((400, before), (answer.Status, Backend.Ledger.Count));
    }

    /// <summary>Each of these hosts lacks something; the message says what to do.</summary>
    [Fact]
    public async Task WithoutTheMiddleware_TheHostDoesNotStart() =>
        Assert.Contains("proxy.UseIdempotency()", (await FailedStartAsync(() => YarpHost.StartAsync(Backend.Url, pipeline: proxy => proxy.UseLoadBalancing()))), StringComparison.Ordinal);

    [Fact]
    public async Task WithTheMiddlewareTwice_TheHostDoesNotStart() =>
        Assert.Contains("called twice", await FailedStartAsync(() => YarpHost.StartAsync(Backend.Url, pipeline: proxy => proxy.UseIdempotency().UseIdempotency())), StringComparison.Ordinal);

    [Fact]
    public async Task WithoutAStore_TheHostDoesNotStart() =>
        Assert.Contains(".UseSqlite(", await FailedStartAsync(() => YarpHost.StartAsync(Backend.Url, hasStore: false)), StringComparison.Ordinal);

    [Fact]
    public async Task WithAClientFactoryOverOurs_TheHostDoesNotStart() =>
        Assert.Contains("before AddIdempotency", await FailedStartAsync(() =>
            YarpHost.StartAsync(Backend.Url, after: services => services.AddSingleton<IForwarderHttpClientFactory, ForwarderHttpClientFactory>())), StringComparison.Ordinal);

    [Fact]
    public async Task WithAClientFactoryOfAnotherKind_TheHostDoesNotStart() =>
        Assert.Contains("derive it from", await FailedStartAsync(() =>
            YarpHost.StartAsync(Backend.Url, before: proxy => proxy.Services.AddSingleton<IForwarderHttpClientFactory, OtherFactory>())), StringComparison.Ordinal);

    [Fact]
    public async Task WithAPolicyThatIsNotThere_TheHostDoesNotStart() =>
        Assert.Contains("no-such", await FailedStartAsync(() => YarpHost.StartAsync(Backend.Url, policy: "no-such")), StringComparison.Ordinal);

    [Fact]
    public async Task WithMistakesInPolicies_TheHostDoesNotStart_AndNamesAllOfThem()
    {
        var configuration = new Dictionary<string, string?>(YarpHost.Policies)
        {
            ["Idempotency:Policies:orders:Lease"] = "soon",
            ["Idempotency:Policies:orders:Retntion"] = "1.00:00:00",
            ["Idempotency:Secret"] = "too short",
            ["Idempotency:Limits:BufferedBytes"] = "-1",
        };

        var failure = await FailedStartAsync(() => YarpHost.StartAsync(Backend.Url, configuration: configuration));

        Assert.All((string[])["Idempotency:Policies:orders:Lease", "Retntion", "Idempotency:Secret", "Idempotency:Limits:BufferedBytes"], part => Assert.Contains(part, failure, StringComparison.Ordinal));
        Assert.DoesNotContain("too short", failure, StringComparison.Ordinal);
    }

    [Fact]
    public async Task TwoStores_AreRefused()
    {
        var failure = await Assert.ThrowsAsync<InvalidOperationException>(() => YarpHost.StartAsync(Backend.Url, after: services => new IdempotencyBuilder(services).UseSqlite("other.db")));
        Assert.Contains("a store of idempotency keys already", failure.Message, StringComparison.Ordinal);
    }

    /// <summary>What the host has set of its clients stays, but for what the promise needs.</summary>
    [Fact]
    public async Task TheHostsClientFactory_IsWrapped()
    {
        var connections = 0;
        SocketsHttpHandler? configured = null;
        await using var host = await YarpHost.StartAsync(Backend.Url, before: proxy => proxy.ConfigureHttpClient((_, handler) =>
        {
            configured = handler;
            handler.AllowAutoRedirect = true;
            handler.PooledConnectionLifetime = TimeSpan.FromMinutes(7);
            handler.PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan;
            handler.ActivityHeadersPropagator = DistributedContextPropagator.CreateW3CPropagator();
            handler.PlaintextStreamFilter = (context, _) =>
            {
                Interlocked.Increment(ref connections);
                return new(context.PlaintextStream);
            };
        }));

        await PostAsync(host, "k1");
        await PostAsync(host, "k1");

        Assert.Equal((1, 1), (connections, Backend.Ledger.Count));
        Assert.Equal(
            (false, TimeSpan.FromMinutes(7), TimeSpan.FromSeconds(30), true, TimeSpan.FromSeconds(15)),
            (configured!.AllowAutoRedirect, configured.PooledConnectionLifetime, configured.PooledConnectionIdleTimeout, configured.ActivityHeadersPropagator is not null, configured.ConnectTimeout));
    }

    /// <summary>
    /// The host's middleware sends the request by a client of its own, behind ours: nobody saw what was sent. A refusal to connect would be
    /// proof from our client; from that one it is none.
    /// </summary>
    [Fact]
    public async Task AClientThatNobodyWatches_LeavesAnUncertainKey()
    {
        using var foreign = new HttpMessageInvoker(new SocketsHttpHandler());
        await using var host = await YarpHost.StartAsync(Backend.Url, pipeline: proxy =>
        {
            proxy.UseIdempotency();
            proxy.Use((HttpContext context, RequestDelegate _) =>
            {
                var address = context.GetReverseProxyFeature().AllDestinations[0].Model.Config.Address;
                return context.RequestServices.GetRequiredService<IHttpForwarder>().SendAsync(context, address, foreign).AsTask();
            });
        });

        var answered = await PostAsync(host, "k1");
        await Backend.StopAsync();
        var unreachable = await PostAsync(host, "k2");
        await Backend.StartAgainAsync();

        Assert.Single(Backend.Ledger);
        Assert.All(
            [answered, await PostAsync(host, "k1"), unreachable, await PostAsync(host, "k2")],
            answer => Assert.Equal("outcome-uncertain", answer.ProblemType));
        Assert.Single(Backend.Ledger);
    }

    /// <summary>A middleware of the host tries again what has failed: what may have arrived is not sent again, what provably has not is.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AHostThatTriesAgain_SendsOnce(bool arrives)
    {
        var tries = 0;
        await using var host = await YarpHost.StartAsync(Backend.Url, pipeline: proxy =>
        {
            proxy.UseIdempotency();
            proxy.Use(async (HttpContext context, RequestDelegate next) =>
            {
                var feature = context.GetReverseProxyFeature();
                for (var left = 2; left > 0; left--)
                {
                    Interlocked.Increment(ref tries);
                    feature.AvailableDestinations = feature.AllDestinations;
                    context.Features.Set<IForwarderErrorFeature>(null);
                    context.Response.StatusCode = 200;
                    await next(context);
                    if (context.Features.Get<IForwarderErrorFeature>() is null)
                    {
                        return;
                    }

                    if (!arrives)
                    {
                        await Backend.StartAgainAsync();
                    }
                }
            });
            proxy.UseLoadBalancing();
        });
        if (arrives)
        {
            Backend.Handler = context =>
            {
                context.Abort();
                return Task.CompletedTask;
            };
        }
        else
        {
            await Backend.StopAsync();
        }

        var answer = await KeyedRequests.SendAsync(_client, HttpMethod.Delete, $"{host.Url}/orders/1", "\"k1\"", [], Alice);
        Backend.Handler = Backend.AnswerCreatedAsync;
        var retry = await KeyedRequests.SendAsync(_client, HttpMethod.Delete, $"{host.Url}/orders/1", "\"k1\"", [], Alice);

        Assert.Equal((2, 1), (tries, Backend.Ledger.Count));
        Assert.Equal(arrives ? (502, "outcome-uncertain", false) : (201, null, true), (answer.Status, retry.ProblemType, retry.IsReplay));
    }

    /// <summary>The last MapReverseProxy makes YARP's pipeline, here without the middleware: nothing goes out on a guarded route.</summary>
    [Fact]
    public async Task AroundTheMiddleware_NothingIsSent()
    {
        await using var host = await YarpHost.StartAsync(Backend.Url, more: app => app.MapReverseProxy(proxy => proxy.UseLoadBalancing()));

        Assert.Equal(502, (await PostAsync(host, "k1")).Status);
        Assert.Empty(Backend.Ledger);
    }

    /// <summary>Metadata from code may tell cases apart; a filter of the host may add them when ours has been.</summary>
    [Theory]
    [InlineData("idempotency", false)]
    [InlineData("Idempotency", true)]
    public async Task TheLine_IsFoundInAnySpelling_AndWhoeverWroteIt(string key, bool byFilter)
    {
        await using var host = await YarpHost.StartAsync(
            Backend.Url, policy: byFilter ? null : "orders", key: key, after: services => services.AddSingleton<IProxyConfigFilter>(new LateFilter(byFilter ? key : null)));

        await PostAsync(host, "k1");

        Assert.True((await PostAsync(host, "k1")).IsReplay);
        Assert.Single(Backend.Ledger);
    }

    [Fact]
    public async Task AHandlerThatSendsByAnotherOne_DoesNotStart() =>
        Assert.Contains("wrap the given handler", await FailedStartAsync(() =>
            YarpHost.StartAsync(Backend.Url, before: proxy => proxy.Services.AddSingleton<IForwarderHttpClientFactory, OtherTransport>())), StringComparison.Ordinal);

    /// <summary>Ours finds nobody, then the host's own client is sent after it; or the other way round: nothing goes out behind a client that nobody watched.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TwoClients_OneAfterTheOther_LeaveAnUncertainKey(bool oursFirst)
    {
        using var foreign = new HttpMessageInvoker(new SocketsHttpHandler());
        var dead = $"http://127.0.0.1:{LoopbackPorts.Reserve()}";
        await using var host = await YarpHost.StartAsync(Backend.Url, pipeline: proxy =>
        {
            proxy.UseIdempotency();
            proxy.Use(async (HttpContext context, RequestDelegate _) =>
            {
                var forwarder = context.RequestServices.GetRequiredService<IHttpForwarder>();
                var own = context.GetReverseProxyFeature().Cluster.HttpClient;
                if (oursFirst)
                {
                    await forwarder.SendAsync(context, dead, own);
                    Restart(context);
                    await forwarder.SendAsync(context, Backend.Url, foreign);
                }
                else
                {
                    await forwarder.SendAsync(context, Backend.Url, foreign, new ForwarderRequestConfig { ActivityTimeout = TimeSpan.FromMilliseconds(300) });
                    Restart(context);
                    await forwarder.SendAsync(context, Backend.Url, own);
                }
            });
        });
        Backend.Handler = oursFirst ? Backend.AnswerCreatedAsync : context => Task.Delay(TimeSpan.FromSeconds(2));

        await KeyedRequests.SendAsync(_client, HttpMethod.Delete, $"{host.Url}/orders/1", "\"k1\"", [], Alice);
        var retry = await KeyedRequests.SendAsync(_client, HttpMethod.Delete, $"{host.Url}/orders/1", "\"k1\"", [], Alice);

        Assert.Equal("outcome-uncertain", retry.ProblemType);
        Assert.Single(Backend.Ledger);

        static void Restart(HttpContext context)
        {
            context.Features.Set<IForwarderErrorFeature>(null);
            context.Response.StatusCode = 200;
        }
    }

    /// <summary>A handler of the host, above ours, that does not wait: it sends a second time, or answers by itself while the first is on its way.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AHandlerThatDoesNotWait_SendsOnce_AndLeavesAnUncertainKey(bool sendsAgain)
    {
        await using var host = await YarpHost.StartAsync(
            Backend.Url, before: proxy => proxy.Services.AddSingleton<IForwarderHttpClientFactory>(new ImpatientFactory(sendsAgain)));
        var held = Backend.Hold();

        var first = PostAsync(host, "k1");
        await Backend.WaitForArrivalsAsync(1);
        await first;
        held.Release();
        var retry = await PostAsync(host, "k1");

        Assert.Equal("outcome-uncertain", retry.ProblemType);
        Assert.Single(Backend.Ledger);
    }

    /// <summary>
    /// In a host of YARP's defaults the server cannot write a field that is not ASCII. The request was executed: no retry executes it again, and none gets
    /// an answer with marks of question in its place.
    /// </summary>
    [Fact]
    public async Task AFieldThatTheHostCannotWrite_IsNeverAnotherOne()
    {
        await using var backend = RawBackend.Start(async connection =>
        {
            await connection.ReadRequestAsync();
            await connection.SendAsync("HTTP/1.1 201 Created\r\nX-Name: Zo\u00EB\r\nContent-Length: 2\r\n\r\nok");
        });
        await using var host = await YarpHost.StartAsync(backend.Url);

        Answer[] answers = [await PostAsync(host, "k1"), await PostAsync(host, "k1")];

        Assert.Single(backend.Requests);
        Assert.True(answers[0].Status >= 500, $"{answers[0].Status} {answers[0].Text}");
        Assert.Equal((409, "answer-not-kept"), (answers[1].Status, answers[1].ProblemType));
    }

    private static async Task<string> FailedStartAsync(Func<Task<YarpHost>> start)
    {
        var failure = await Assert.ThrowsAnyAsync<Exception>(start);
        Assert.True(failure is InvalidOperationException or OptionsValidationException or AggregateException, failure.ToString());
        return failure.ToString();
    }

    private Task<Answer> PostAsync(YarpHost host, string key, string body = """{"amount":1}""") =>
        KeyedRequests.SendAsync(_client, HttpMethod.Post, $"{host.Url}/orders/1", $"\"{key}\"", Encoding.UTF8.GetBytes(body), Alice);

    private sealed class LateFilter(string? key) : IProxyConfigFilter
    {
        public ValueTask<ClusterConfig> ConfigureClusterAsync(ClusterConfig cluster, CancellationToken cancel) => new(cluster);

        public ValueTask<RouteConfig> ConfigureRouteAsync(RouteConfig route, ClusterConfig? cluster, CancellationToken cancel) =>
            new(key is null ? route : route with { Metadata = new Dictionary<string, string> { [key] = "orders" } });
    }

    private sealed class ImpatientFactory(bool sendsAgain) : ForwarderHttpClientFactory
    {
        protected override HttpMessageHandler WrapHandler(ForwarderHttpClientContext context, HttpMessageHandler handler) => new Impatient(handler, sendsAgain);
    }

    private sealed class Impatient(HttpMessageHandler inner, bool sendsAgain) : DelegatingHandler(inner)
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var first = base.SendAsync(request, cancellationToken);
            await Task.WhenAny(first, Task.Delay(TimeSpan.FromSeconds(1), cancellationToken));
            if (!sendsAgain)
            {
                return new HttpResponseMessage(HttpStatusCode.Accepted);
            }

            var again = new HttpRequestMessage(request.Method, request.RequestUri) { Content = new ByteArrayContent([]) };
            again.Options.Set(ForwardTraceKey, request.Options.TryGetValue(ForwardTraceKey, out var trace) ? trace : null!);
            return await base.SendAsync(again, cancellationToken);
        }

        /// <summary>As a handler would copy all options.</summary>
        private static HttpRequestOptionsKey<ForwardTrace> ForwardTraceKey => ForwardTrace.Key;
    }

    private sealed class OtherTransport : ForwarderHttpClientFactory
    {
        protected override HttpMessageHandler WrapHandler(ForwarderHttpClientContext context, HttpMessageHandler handler) => new SocketsHttpHandler();
    }

    private sealed class OtherFactory : IForwarderHttpClientFactory
    {
        public HttpMessageInvoker CreateClient(ForwarderHttpClientContext context) => new(new SocketsHttpHandler());
    }
}
