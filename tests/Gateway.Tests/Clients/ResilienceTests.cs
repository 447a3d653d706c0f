using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace Gateway.Tests.Clients;

/// <summary>.NET's HttpClient with the standard resilience handler: its retries are the first request's answer.</summary>
public sealed class ResilienceTests
{
    [Fact]
    public async Task ARetryAfterItsTimeout_GetsTheFirstAnswer()
    {
        await using var backend = await ScriptedBackend.StartAsync();
        backend.Handler = async context =>
        {
            await Task.Delay(TimeSpan.FromSeconds(2));
            await backend.AnswerCreatedAsync(context);
        };
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { wait = new { InFlight = new { Duplicates = "Wait", MaxWait = "10s" } } }, new GatewayRoute("/orders", backend.Url, "wait")));
        var services = new ServiceCollection();
        services.AddHttpClient("orders").AddStandardResilienceHandler(options =>
        {
            options.AttemptTimeout.Timeout = TimeSpan.FromMilliseconds(700);
            options.Retry.MaxRetryAttempts = 10;
            options.Retry.Delay = TimeSpan.FromMilliseconds(100);
            options.CircuitBreaker.SamplingDuration = TimeSpan.FromMinutes(1);
            options.CircuitBreaker.MinimumThroughput = 1000;
        });
        await using var provider = services.BuildServiceProvider();
        using var client = provider.GetRequiredService<IHttpClientFactory>().CreateClient("orders");

        using var request = new HttpRequestMessage(HttpMethod.Post, $"{gateway.Url}/orders") { Content = new StringContent("{}") };
        request.Headers.Add("Idempotency-Key", EmbeddedGateway.NewKey());
        using var answer = await client.SendAsync(request);

        Assert.Single(backend.Ledger);
        Assert.Equal(StatusCodes.Status201Created, (int)answer.StatusCode);
        Assert.Equal(["true"], answer.Headers.GetValues("Idempotent-Replayed"));
    }
}
