using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text;
using Gateway.Tests.Support;
using Microsoft.AspNetCore.Http;

namespace Gateway.Tests.Chaos;

/// <summary>
/// A backend that knows nothing of idempotency and behaves badly in every way that a gateway can be held responsible for. Its ledger is
/// the truth. How an execution ends depends on the seed, the request, and how often that request came, not on the moment.
/// </summary>
internal sealed class ChaosBackend(ulong seed, Stopwatch clock)
{
    private readonly ConcurrentDictionary<(string Scope, string Key), int> _arrivals = new();
    private readonly ConcurrentQueue<Execution> _ledger = new();
    private int _executions;
    private int _running;

    public IReadOnlyCollection<Execution> Ledger => _ledger;

    public bool IsQuiet => Volatile.Read(ref _running) == 0;

    /// <summary>Set when the checks begin: from then on every execution succeeds at once.</summary>
    public bool IsCalm { get; set; }

    public Task<ScriptedBackend> StartAsync() => ScriptedBackend.StartAsync(ExecuteAsync);

    /// <summary>Requests without a body lose their connection more often: those are what HTTP clients repeat by themselves.</summary>
    private static ExecutionKind Draw(Dice dice, bool hasBody) => dice.Next(100) switch
    {
        < 20 when !hasBody => ExecutionKind.Cut,
        < 68 => ExecutionKind.Created,
        < 76 => ExecutionKind.Failed,
        < 80 => ExecutionKind.NotKept,
        < 90 => ExecutionKind.Refused,
        < 95 => ExecutionKind.Cut,
        _ => ExecutionKind.HalfBody,
    };

    private static TimeSpan DrawDelay(Dice dice, bool isBrief) =>
        isBrief ? dice.Milliseconds(100, 1200)
        : dice.Chance(4) ? dice.Milliseconds(2000, 3500) // longer than the lease, which the gateway has to renew
        : dice.Milliseconds(0, 300);

    private async Task ExecuteAsync(HttpContext context)
    {
        if (HttpMethods.IsGet(context.Request.Method))
        {
            // Not a keyed request, and nothing that the ledger counts.
            return;
        }

        Interlocked.Increment(ref _running);
        try
        {
            var key = context.Request.Headers["Idempotency-Key"].ToString();
            var scope = context.Request.Headers.Authorization.ToString();
            using var reader = new StreamReader(context.Request.Body);
            var body = await reader.ReadToEndAsync();

            var arrival = _arrivals.AddOrUpdate((scope, key), 1, (_, count) => count + 1);
            var dice = Dice.For(seed, $"{scope} {key} {arrival}");
            var kind = IsCalm ? ExecutionKind.Created : Draw(dice, body.Length > 0);
            var delay = IsCalm ? TimeSpan.Zero : DrawDelay(dice, context.Request.Path == Operation.BriefPath);
            var id = Interlocked.Increment(ref _executions);
            // Neither key nor credential: those must not be found in the store.
            var answer = Encoding.UTF8.GetBytes($$"""{"execution":{{id}},"padding":"{{new string('x', dice.Next(2000))}}"}""");
            var execution = new Execution(id, key, scope, body, kind, answer, clock.Elapsed);
            _ledger.Enqueue(execution);

            await Task.Delay(delay);
            await AnswerAsync(context, execution);
        }
        finally
        {
            Interlocked.Decrement(ref _running);
        }
    }

    private static async Task AnswerAsync(HttpContext context, Execution execution)
    {
        if (execution.Kind == ExecutionKind.Cut)
        {
            context.Abort();
            return;
        }

        var response = context.Response;
        response.StatusCode = execution.Status;
        response.ContentType = "application/json";
        response.ContentLength = execution.Answer.Length;
        response.Headers[Attempt.ExecutionHeader] = $"{execution.Id}";
        if (execution.Kind == ExecutionKind.NotKept)
        {
            response.Headers.CacheControl = "no-store";
        }

        if (execution.Kind == ExecutionKind.HalfBody)
        {
            await response.Body.WriteAsync(execution.Answer.AsMemory(0, execution.Answer.Length / 2));
            await response.Body.FlushAsync();
            context.Abort();
            return;
        }

        await response.Body.WriteAsync(execution.Answer);
    }
}
