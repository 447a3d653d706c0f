using System.Globalization;
using System.Text.Json;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.Clients;

/// <summary>stripe-node: what the gateway refuses must be an error to it, never a payment.</summary>
public sealed class StripeTests : IAsyncLifetime
{
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;
    private GatewayProcess? _gateway;

    public async Task InitializeAsync()
    {
        _backend = await ScriptedBackend.StartAsync(PayAsync);
        _gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(GatewayConfig.Embedded, new { }, new GatewayRoute("/{**rest}", _backend.Url)));
    }

    public async Task DisposeAsync()
    {
        await (_gateway?.DisposeAsync() ?? default);
        await (_backend?.DisposeAsync() ?? default);
    }

    [NodeFact]
    public async Task ARepetition_GetsTheFirstPayment()
    {
        var calls = await RunAsync("first");

        Assert.Single(_backend!.Ledger);
        Assert.Equal([("pi_1", false), ("pi_1", true)], calls.Select(call => (call.GetProperty("id").GetString(), call.GetProperty("replayed").GetBoolean())));
    }

    [NodeFact]
    public async Task ARetryAfterATimeout_GetsTheFirstPayment()
    {
        _backend!.Handler = async context =>
        {
            await Task.Delay(TimeSpan.FromSeconds(2));
            await PayAsync(context);
        };

        var calls = await RunAsync("timeout");

        Assert.Single(_backend.Ledger);
        Assert.Equal(("pi_1", true), (calls[0].GetProperty("id").GetString(), calls[0].GetProperty("replayed").GetBoolean()));
    }

    [NodeFact]
    public async Task AnotherOneAtTheSameTime_IsRejected()
    {
        _backend!.Handler = async context =>
        {
            await Task.Delay(TimeSpan.FromSeconds(2));
            await PayAsync(context);
        };

        var calls = await RunAsync("concurrent");

        Assert.Single(_backend.Ledger);
        Assert.Single(calls, call => call.TryGetProperty("id", out _));
        AssertRejected(Assert.Single(calls, call => call.TryGetProperty("error", out _)), 409, "outstanding", "Retry-After");
    }

    [NodeFact]
    public async Task TheKeyForAnotherPayment_IsRejected()
    {
        var calls = await RunAsync("reuse");

        Assert.Single(_backend!.Ledger);
        Assert.Equal("pi_1", calls[0].GetProperty("id").GetString());
        AssertRejected(calls[1], 422, "What differs: body");
    }

    [NodeFact]
    public async Task AnUncertainOutcome_IsRejected_AndSoIsItsRepetition()
    {
        _backend!.Handler = context =>
        {
            context.Abort();
            return Task.CompletedTask;
        };

        var calls = await RunAsync("uncertain");

        Assert.Single(_backend.Ledger);
        AssertRejected(calls[0], 502, "nobody knows");
        AssertRejected(calls[1], 409, "nobody knows");
    }

    private static void AssertRejected(JsonElement call, int status, params string[] anyOf)
    {
        Assert.Equal(status, call.GetProperty("status").GetInt32());
        Assert.StartsWith("Stripe", call.GetProperty("error").GetString(), StringComparison.Ordinal);
        Assert.Contains(anyOf, text => call.GetProperty("message").GetString()!.Contains(text, StringComparison.Ordinal));
    }

    private async Task<List<JsonElement>> RunAsync(string scenario) =>
        [.. (await NodeClients.RunAsync("stripe.mjs", new Uri(_gateway!.Url).Port.ToString(CultureInfo.InvariantCulture), scenario, _key)).EnumerateArray()];

    private Task PayAsync(HttpContext context)
    {
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync($$"""{"id":"pi_{{_backend!.Ledger.Count}}","object":"payment_intent"}""");
    }
}
