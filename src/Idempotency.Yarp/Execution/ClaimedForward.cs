using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Idempotency.Storage;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Idempotency.Yarp;

/// <summary>
/// Steps 9 to 12 of a claimed request: forward detached from the client, classify, settle, and only then answer. An answer that the client
/// has seen is an answer that the store has; where that fails, the answer says so.
/// </summary>
internal sealed class ClaimedForward : IAsyncDisposable
{
    private readonly ForwardRunner _forwards;
    private readonly HttpContext _context;
    private readonly IdempotencyPolicy _policy;
    private readonly HeldClaim _claim;
    private readonly HeldLock? _lock;
    private readonly bool _isObserved;
    private readonly bool _isStreamed;
    private readonly ForwardTrace _trace;
    private readonly IHttpResponseBodyFeature _client;
    private readonly CancellationToken _clientAborted;
    private readonly ClientSpool? _spool;
    private readonly HeldTail? _tail;
    private readonly ResponseCapture _capture;
    private Exception? _escaped;

    /// <summary>The request has its body read and set back; the lock, if there is one, ends as soon as the backend is done.</summary>
    public ClaimedForward(ForwardRunner forwards, HttpContext context, IdempotencyPolicy policy, HeldClaim claim, HeldLock? held)
    {
        (_forwards, _context, _policy, _claim, _lock) = (forwards, context, policy, claim, held);
        _client = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        _clientAborted = context.RequestAborted;

        // Under Observe nothing is kept back from backend or client.
        _isObserved = policy.Mode == PolicyMode.Observe;
        _isStreamed = _isObserved || policy.Delivery == Delivery.Streamed;
        _trace = _isObserved ? new ForwardTrace() : new LeasedTrace(forwards.Leases, claim, held);
        _spool = held is not null || (_isStreamed && !_isObserved) ? forwards.Writer.Spool(context, _client, policy) : null;
        _tail = held is null ? null : new HeldTail(context.Response, _spool!);
        _capture = new ResponseCapture(
            context,
            (IHttpResponseBodyFeature?)_tail ?? _spool ?? _client,
            _isStreamed,
            policy.MaxAnswerBytes,
            forwards.Budget,
            PassThroughAsync,
            isOver: () => _clientAborted.IsCancellationRequested && !(_spool?.GoesOnFor > TimeSpan.Zero));
    }

    private RecordId Record => _claim.Request.Id;

    private IForwarderErrorFeature? Error => _context.Features.Get<IForwarderErrorFeature>();

    public async Task RunAsync(RequestDelegate next)
    {
        if (!_isObserved)
        {
            OutgoingHeaders.Set(_context.Request, _policy, _claim.Request);
        }

        await ForwardAsync(next);
        if (_capture.IsPassedThrough)
        {
            await EndPassedThroughAsync();
            return;
        }

        var outcome = await ClassifyAsync();
        TestHooks.CrashPoint("P5");
        var refusal = await SettleAsync(outcome);
        TestHooks.CrashPoint("P7");
        await AnswerAsync(refusal);
    }

    public async ValueTask DisposeAsync()
    {
        _capture.Dispose();
        await (_tail?.DisposeAsync() ?? default);
        await (_spool?.DisposeAsync() ?? default);
    }

    // 9. Forward. A client that hangs up changes nothing from here on; only the end of the process does.
    private async Task ForwardAsync(RequestDelegate next)
    {
        TestHooks.CrashPoint("P2");
        var body = _context.Request.Body;
        _context.RequestAborted = _forwards.Drain.GiveUp;
        _context.Features.Set<ForwardTrace>(_trace);
        _context.Features.Set<IHttpResponseBodyFeature>(_capture);
        _context.Request.Body = (_trace as LeasedTrace)?.Guard(body) ?? body;
        var began = _forwards.Times.Begin();
        try
        {
            await next(_context);
            await _capture.CompleteAsync();
            _forwards.Times.Took(_context, began);
        }
#pragma warning disable CA1031 // whatever went wrong, the claim must be ended
        catch (Exception e)
#pragma warning restore CA1031
        {
            _escaped = e;
        }
        finally
        {
            _context.Features.Set(_client);
            _context.RequestAborted = _clientAborted;
            _context.Request.Body = body;
        }
    }

    // 10. Classify. The lock ends as soon as it is known whether the backend is done.
    private async Task<ForwardOutcome> ClassifyAsync()
    {
        var response = _context.Response;
        var noStore = _policy.NoStore == NoStoreAnswers.Tombstone && RecordedHeaders.HasNoStore(response.Headers);
        var report = new ForwardReport(Error?.Error ?? ForwarderError.None, Error?.Exception ?? _escaped, _trace, response.StatusCode, noStore, ReleasingRedirect.Is(response, _policy));
        var outcome = ForwardOutcome.Classify(report, _policy);
        await (_lock?.EndAsync(outcome.IsBackendDone) ?? default);
        return GivenAttempt(outcome);
    }

    /// <summary>Of a take-over, an earlier attempt may have been executed, whatever becomes of this one.</summary>
    private ForwardOutcome GivenAttempt(ForwardOutcome outcome) =>
        _claim.Request.Attempt > 1 && outcome.Kind is OutcomeKind.Refused or OutcomeKind.NotForwarded ? new ForwardOutcome(OutcomeKind.UncertainAnswer) : outcome;

    // 11. Settle.
    /// <returns>What the client is told in place of the backend's answer; null for that.</returns>
    private async Task<Decision.Refuse?> SettleAsync(ForwardOutcome outcome)
    {
        var end = EndResult.Recorded;
        switch (outcome.Kind)
        {
            case OutcomeKind.Answered:
                (var reason, end) = await _forwards.Settlement.SettleAsync(_context, _policy, _claim, _trace, TombstoneReason.None, _capture.Body);
                outcome = reason == TombstoneReason.None ? outcome : new ForwardOutcome(OutcomeKind.NotKept, reason);
                break;

            case OutcomeKind.NotKept:
                (_, end) = await _forwards.Settlement.SettleAsync(_context, _policy, _claim, _trace, outcome.Reason, default);
                break;

            case OutcomeKind.Refused:
            case OutcomeKind.NotForwarded:
                end = await _forwards.Settlement.EndAsync(_context, _policy, _claim, ClaimEnd.Release, IdempotencyStatus.Released);
                break;

            case OutcomeKind.NeverSent:
                return await ReleaseNeverSentAsync();

            case OutcomeKind.UncertainAnswer:
                _forwards.Journal.Uncertain(_policy, Record, _trace.Status is { } status ? $"the backend answered {status}" : "it was not forwarded", null);
                end = await _forwards.Settlement.EndAsync(_context, _policy, _claim, ClaimEnd.MarkUncertain, IdempotencyStatus.OutcomeUncertain);
                break;

            case OutcomeKind.Uncertain:
                _forwards.Journal.Uncertain(_policy, Record, Describe(Error), _escaped);
                await _forwards.Leases.EndAsync(_claim, ClaimEnd.MarkUncertain);
                break;

            default:
                throw new UnreachableException();
        }

        // Before the client has its answer, so that whoever sees the answer sees the count.
        _forwards.Journal.Forwarded(_policy, Record, _trace.Status ?? 0, outcome.Kind, end);
        return outcome switch
        {
            { Kind: OutcomeKind.Uncertain } => Uncertain("The request was sent and no usable answer came.", outcome.TimedOut ? 504 : 502),
            { Reason: TombstoneReason.Headers } => Uncertain("The backend executed the request; its answer cannot be relayed.", 502),
            _ => null,
        };
    }

    // 12. Answer. Of one that is streamed only the end is left to give.
    private async Task AnswerAsync(Decision.Refuse? refusal)
    {
        if (refusal is null)
        {
            await (!_isStreamed ? _forwards.Writer.WriteAsync(_context, () => AnswerBody.WriteAsync(_context.Response, _capture.Body))
                : _spool is not null ? _forwards.Writer.FinishAsync(_context, _spool, _tail)
                : Task.CompletedTask);
        }
        else if (_context.Response.HasStarted)
        {
            _context.Abort(); // it can only be cut
        }
        else if (!_isObserved)
        {
            await ProblemWriter.ReplaceAsync(_context, refusal);
        }

        if (_isObserved && _escaped is not null && !_context.Response.HasStarted)
        {
            ExceptionDispatchInfo.Throw(_escaped); // answered as it would be without this policy
        }
    }

    /// <summary>Provably not sent: the claim is freed, and the client is told what its key is then.</summary>
    private async Task<Decision.Refuse> ReleaseNeverSentAsync()
    {
        var key = await _forwards.Settlement.ReleaseAsync(_context, _policy, _claim);
        var why = Error?.Exception is NotSentException && _trace is LeasedTrace leased ? leased.Refusal(_policy) : new Decision.Refuse(Problem.BackendUnreachable);
        var refusal = (why with { Record = Record }).GivenKey(key, _policy);
        _forwards.Journal.NeverSent(_policy, Record, Describe(Error), key, refusal.Problem);
        return refusal;
    }

    /// <summary>Steps 10 and 11 of an answer that is too large or a stream, before what there is of it is passed through to the client.</summary>
    private async ValueTask PassThroughAsync(TombstoneReason reason)
    {
        _spool?.IsUrgent = _lock is not null;
        if (_trace.Status is null)
        {
            throw new InvalidOperationException("A body that no backend sent is larger than what can be kept.");
        }

        await SettleAsync(GivenAttempt(ForwardOutcome.OfAnswer(_trace.Status.Value, ReleasingRedirect.Is(_context.Response, _policy), _policy, reason)));
    }

    /// <summary>The client has what there is, or gets the rest at its own pace.</summary>
    private async Task EndPassedThroughAsync()
    {
        var isWhole = _escaped is null && Error is null;
        if (!isWhole)
        {
            _context.Abort();
        }

        await (_lock?.EndAsync(isWhole) ?? default);
        await ((isWhole, _spool, _tail) switch
        {
            (true, { } rest, { } end) => _forwards.Writer.FinishAsync(_context, rest, end),
            (true, { } rest, null) => rest.WhenGivenAsync(),
            _ => Task.CompletedTask,
        });
    }

    private Decision.Refuse Uncertain(string what, int status) =>
        new(Problem.OutcomeUncertain, $"{what} {Problem.OutcomeUncertain.Advice}", Record: Record) { Status = status };

    private static string Describe(IForwarderErrorFeature? error) =>
        error is null ? "the pipeline failed" : $"{error.Error}: {error.Exception?.InnerException?.Message ?? error.Exception?.Message ?? "no details"}";
}
