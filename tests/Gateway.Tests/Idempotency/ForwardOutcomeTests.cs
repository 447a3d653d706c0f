using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Forwarding;
using Idempotency.Yarp.Policies;
using Xunit;
using Yarp.ReverseProxy.Forwarder;

namespace Gateway.Tests.Idempotency;

/// <summary>Every error that YARP and the HTTP client know has an outcome that was decided, not fallen into.</summary>
public sealed class ForwardOutcomeTests
{
    private static readonly IdempotencyPolicy Policy = new() { Name = "test" };

    /// <summary>With an exception that says nothing, and without an answer.</summary>
    private static readonly Dictionary<ForwarderError, ForwardOutcome> ByError = new()
    {
        [ForwarderError.None] = new(OutcomeKind.Uncertain),
        [ForwarderError.Request] = new(OutcomeKind.Uncertain),
        [ForwarderError.RequestTimedOut] = new(OutcomeKind.Uncertain, TimedOut: true),
        [ForwarderError.RequestCanceled] = new(OutcomeKind.Uncertain, TimedOut: true),
        [ForwarderError.RequestBodyCanceled] = new(OutcomeKind.Uncertain, TimedOut: true),
        [ForwarderError.RequestBodyClient] = new(OutcomeKind.Uncertain),
        [ForwarderError.RequestBodyDestination] = new(OutcomeKind.Uncertain),
        [ForwarderError.ResponseBodyCanceled] = new(OutcomeKind.Uncertain),
        [ForwarderError.ResponseBodyClient] = new(OutcomeKind.Uncertain),
        [ForwarderError.ResponseBodyDestination] = new(OutcomeKind.Uncertain),
        [ForwarderError.ResponseHeaders] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeRequestCanceled] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeRequestClient] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeRequestDestination] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeResponseCanceled] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeResponseClient] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeResponseDestination] = new(OutcomeKind.Uncertain),
        [ForwarderError.UpgradeActivityTimeout] = new(OutcomeKind.Uncertain),
        [ForwarderError.NoAvailableDestinations] = new(OutcomeKind.NeverSent),
        [ForwarderError.RequestCreation] = new(OutcomeKind.NeverSent),
    };

    private static readonly Dictionary<HttpRequestError, OutcomeKind> ByRequestError = new()
    {
        [HttpRequestError.Unknown] = OutcomeKind.Uncertain,
        [HttpRequestError.NameResolutionError] = OutcomeKind.NeverSent,
        [HttpRequestError.ConnectionError] = OutcomeKind.NeverSent,
        [HttpRequestError.SecureConnectionError] = OutcomeKind.NeverSent,
        [HttpRequestError.HttpProtocolError] = OutcomeKind.Uncertain,
        [HttpRequestError.ExtendedConnectNotSupported] = OutcomeKind.Uncertain,
        [HttpRequestError.VersionNegotiationError] = OutcomeKind.Uncertain,
        [HttpRequestError.UserAuthenticationError] = OutcomeKind.Uncertain,
        [HttpRequestError.ProxyTunnelError] = OutcomeKind.Uncertain,
        [HttpRequestError.InvalidResponse] = OutcomeKind.Uncertain,
        [HttpRequestError.ResponseEnded] = OutcomeKind.Uncertain,
        [HttpRequestError.ConfigurationLimitExceeded] = OutcomeKind.Uncertain,
    };

    [Fact]
    public void EveryForwarderError_HasItsOutcome() => Assert.All(
        Enum.GetValues<ForwarderError>(),
        error => Assert.Equal(ByError[error], Classify(error, new InvalidOperationException(), new ForwardTrace())));

    [Fact]
    public void EveryRequestError_HasItsOutcome() => Assert.All(
        Enum.GetValues<HttpRequestError>(),
        error => Assert.Equal(ByRequestError[error], Classify(ForwarderError.Request, new HttpRequestException(error), new ForwardTrace()).Kind));

    [Fact]
    public void AnErrorThatIsNotKnownYet_IsUncertain() =>
        Assert.Equal(new(OutcomeKind.Uncertain), Classify((ForwarderError)9999, null, new ForwardTrace()));

    [Fact]
    public void ARequestErrorWithoutAnException_IsUncertain() =>
        Assert.Equal(new(OutcomeKind.Uncertain), Classify(ForwarderError.Request, null, new ForwardTrace()));

    [Fact]
    public void AnExceptionThatEscaped_IsUncertain_WhateverTheAnswer() =>
        Assert.Equal(new(OutcomeKind.Uncertain), Classify(ForwarderError.None, new IOException(), new ForwardTrace { Status = 200 }));

    [Fact]
    public void HeadersThatCannotBeRelayed_ProveAnExecution() => Assert.Equal(
        new(OutcomeKind.NotKept, TombstoneReason.Headers), Classify(ForwarderError.ResponseHeaders, null, new ForwardTrace { Status = 200 }));

    [Fact]
    public void WithoutAnAnswer_SomethingElseAnswered() =>
        Assert.Equal(new(OutcomeKind.NotForwarded), ClassifyAnswer(new ForwardTrace()));

    [Fact]
    public void EveryStatus_MeansWhatThePolicySays()
    {
        for (var status = 200; status <= 999; status++)
        {
            var expected = status switch
            {
                401 or 403 or 408 or 421 or 425 or 429 or 503 => new(OutcomeKind.Refused),
                502 or 504 or (>= 520 and <= 524) => new(OutcomeKind.UncertainAnswer),
                206 => new(OutcomeKind.NotKept, TombstoneReason.Partial),
                _ => new ForwardOutcome(OutcomeKind.Answered),
            };
            Assert.Equal(expected, ClassifyAnswer(new ForwardTrace { Status = status }));
        }
    }

    [Fact]
    public void AnAnswerThatCannotBeKept_SaysWhy()
    {
        Assert.Equal(NotKept(TombstoneReason.Unframed), ClassifyAnswer(new ForwardTrace { Status = 200, Unframed = true }));
        Assert.Equal(NotKept(TombstoneReason.Trailers), ClassifyAnswer(new ForwardTrace { Status = 200, AnnouncesTrailers = true }));
        Assert.Equal(NotKept(TombstoneReason.NoStore), ClassifyAnswer(new ForwardTrace { Status = 200 }, noStore: true));

        static ForwardOutcome NotKept(TombstoneReason reason) => new(OutcomeKind.NotKept, reason);
    }

    [Fact]
    public void AReleasedStatus_IsReleased_EvenIfItCouldNotBeKept() =>
        Assert.Equal(new(OutcomeKind.Refused), ClassifyAnswer(new ForwardTrace { Status = 503, Unframed = true }, noStore: true));

    [Theory]
    [InlineData(400, 400, nameof(OutcomeKind.UncertainAnswer))]
    [InlineData(413, 413, nameof(OutcomeKind.UncertainAnswer))]
    [InlineData(502, 413, nameof(OutcomeKind.Uncertain))]
    [InlineData(502, 502, nameof(OutcomeKind.Uncertain))]
    [InlineData(504, 504, nameof(OutcomeKind.Uncertain))]
    [InlineData(502, null, nameof(OutcomeKind.Uncertain))]
    public void AnAnswerToAPartOfTheRequest_IsPassedOnIfItIsWhole_AndNeverFinal(int inResponse, int? ofBackend, string expected)
    {
        var trace = new ForwardTrace { Status = ofBackend };
        var report = new ForwardReport(ForwarderError.RequestBodyDestination, new IOException(), trace, inResponse, NoStore: false);

        Assert.Equal(expected, ForwardOutcome.Classify(report, Policy).Kind.ToString());
    }

    /// <summary>Proof that nothing was sent is of one try; another client, or an earlier try, may have sent it.</summary>
    [Theory]
    [InlineData(ForwarderError.NoAvailableDestinations)]
    [InlineData(ForwarderError.RequestCreation)]
    [InlineData(ForwarderError.None)]
    public void WhatMayHaveArrivedBefore_IsUncertain(ForwarderError error)
    {
        var trace = new ForwardTrace();
        trace.BeginSend();

        Assert.Equal(new(OutcomeKind.Uncertain), Classify(error, null, trace));

        trace.TakeBackSend();
        Assert.NotEqual(OutcomeKind.Uncertain, Classify(error, null, trace).Kind);
    }

    [Fact]
    public void AnAnswerThatCame_IsOne_ThoughTheRequestArrived()
    {
        var trace = new ForwardTrace { Status = 200 };
        trace.BeginSend();

        Assert.Equal(new(OutcomeKind.Answered), ClassifyAnswer(trace));
    }

    [Fact]
    public void ARedirectToWhereNothingWasDone_IsReleased()
    {
        var report = new ForwardReport(ForwarderError.None, Failure: null, new ForwardTrace { Status = 302 }, 302, NoStore: true);

        Assert.Equal(new(OutcomeKind.Refused), ForwardOutcome.Classify(report with { IsReleasingRedirect = true }, Policy));
        Assert.Equal(new(OutcomeKind.NotKept, TombstoneReason.NoStore), ForwardOutcome.Classify(report, Policy));
    }

    [Theory]
    [InlineData(201, false, "NotKept")]
    [InlineData(503, false, "Refused")]
    [InlineData(502, false, "UncertainAnswer")]
    [InlineData(302, true, "Refused")]
    public void WhatIsPassedThrough_IsClassifiedByItsHead(int status, bool isReleasingRedirect, string kind)
    {
        var outcome = ForwardOutcome.OfAnswer(status, isReleasingRedirect, Policy, TombstoneReason.Stream);

        Assert.Equal(new ForwardOutcome(Enum.Parse<OutcomeKind>(kind), kind == "NotKept" ? TombstoneReason.Stream : TombstoneReason.None), outcome);
    }

    [Fact]
    public void TheBackendMayStillBeAtIt_OnlyWhenUncertain() => Assert.All(
        Enum.GetValues<OutcomeKind>(),
        kind => Assert.Equal(kind is not (OutcomeKind.Uncertain or OutcomeKind.UncertainAnswer), new ForwardOutcome(kind).IsBackendDone));

    private static ForwardOutcome ClassifyAnswer(ForwardTrace trace, bool noStore = false) =>
        ForwardOutcome.Classify(new ForwardReport(ForwarderError.None, Failure: null, trace, trace.Status ?? 0, noStore), Policy);

    private static ForwardOutcome Classify(ForwarderError error, Exception? failure, ForwardTrace trace) =>
        ForwardOutcome.Classify(new ForwardReport(error, failure, trace, trace.Status ?? 0, NoStore: false), Policy);
}
