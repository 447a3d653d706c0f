using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>
/// A backend of virtual hosts: only one of them knows payments. A probe that goes to another one is told that there is no such payment,
/// and the payment is made again.
/// </summary>
public sealed class ProbeHostTests : IAsyncLifetime
{
    private const string Bank = "bank.example";

    private readonly HttpClient _client = KeyedRequests.NewClient();
    private readonly string _key = EmbeddedGateway.NewKey();
    private ScriptedBackend? _backend;

    public async Task InitializeAsync() => _backend = await ScriptedBackend.StartAsync(AnswerAsync);

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _backend!.DisposeAsync();
    }

    [Fact]
    public async Task TheHostOfTheDestination_IsAskedOfItsPayment_ThreeTriesAreOneExecution()
    {
        var policy = new { Uncertain = new { Retries = "Probe", Probe = new { Path = "/payments?ref={key}" } } };
        await using var gateway = await GatewayProcess.StartAsync(GatewayConfig.Write(
            GatewayConfig.Embedded, new { policy }, new GatewayRoute("/payments", _backend!.Url, "policy", Host: Bank)));

        var first = await PostAsync(gateway);
        var second = await PostAsync(gateway);
        var third = await PostAsync(gateway);

        Assert.Equal([_key], Payments.Select(arrival => arrival.Key));
        Expect.Problem(502, "outcome-uncertain", first);
        Assert.All([second, third], answer => Assert.Equal((200, "paid", true), (answer.Status, answer.Text, answer.IsReplay)));
    }

    private IReadOnlyList<Arrival> Payments => [.. _backend!.Ledger.Where(arrival => arrival.Method == "POST")];

    /// <summary>The sweeper may be at the same key, a moment before the retry: then the retry is told to come back.</summary>
    private async Task<Answer> PostAsync(GatewayProcess gateway)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(
            async () => (answer = await KeyedRequests.PostAsync(_client, gateway.Url + "/payments", _key)).ProblemType != "in-progress", "answered");
        return answer!;
    }

    /// <summary>Pays, and loses the answer.</summary>
    private async Task AnswerAsync(HttpContext context)
    {
        if (context.Request.Host.Host != Bank)
        {
            context.Response.StatusCode = StatusCodes.Status404NotFound;
        }
        else if (HttpMethods.IsPost(context.Request.Method))
        {
            context.Abort();
        }
        else
        {
            var known = Payments.Any(arrival => arrival.Key == context.Request.Query["ref"]);
            context.Response.StatusCode = known ? StatusCodes.Status200OK : StatusCodes.Status404NotFound;
            await context.Response.WriteAsync(known ? "paid" : "unknown");
        }
    }
}
