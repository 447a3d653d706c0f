using System.Diagnostics.Metrics;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.Metrics.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Telemetry;

/// <summary>Every value that a label of our metrics can have, and that it is the one of what happened.</summary>
public sealed class IdempotencyMetricsTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly IdempotencyPolicy _policy = new() { Name = "payments" };
    private readonly RequestJournal _journal;
    private readonly IdempotencyMetrics _metrics;

    public IdempotencyMetricsTests()
    {
        _metrics = new IdempotencyMetrics(Meters);
        _journal = new RequestJournal(_metrics, TimeProvider.System, NullLogger<RequestJournal>.Instance);
    }

    public static TheoryData<string> Slugs => [.. Problem.All.Select(problem => problem.Slug)];

    public static TheoryData<string> UnusableReasons => [.. Enum.GetNames<RecordParse>().Except([nameof(RecordParse.Ok)])];

    private IMeterFactory Meters => _services.GetRequiredService<IMeterFactory>();

    public void Dispose() => _services.Dispose();

    [Theory]
    [MemberData(nameof(Slugs))]
    public void ARefusal_IsCountedByItsProblem(string slug) =>
        AssertRequest(slug, () => _journal.Refused(new DefaultHttpContext(), _policy, Problem.All.Single(problem => problem.Slug == slug), record: null, reason: null));

    [Theory]
    [MemberData(nameof(Slugs))]
    public void WhatWasNeverSent_IsCountedByWhatItsClientWasTold(string slug) => AssertRequest(
        slug, () => _journal.NeverSent(_policy, default, "refused", default, Problem.All.Single(problem => problem.Slug == slug)));

    [Theory]
    [InlineData(nameof(OutcomeKind.Answered), "recorded")]
    [InlineData(nameof(OutcomeKind.NotKept), "answer-not-kept")]
    [InlineData(nameof(OutcomeKind.Refused), "released")]
    [InlineData(nameof(OutcomeKind.NotForwarded), "released")]
    [InlineData(nameof(OutcomeKind.UncertainAnswer), "outcome-uncertain")]
    [InlineData(nameof(OutcomeKind.Uncertain), "outcome-uncertain")]
    public void AForward_IsCountedByItsOutcome(string kind, string outcome) =>
        AssertRequest(outcome, () => _journal.Forwarded(_policy, default, 201, Enum.Parse<OutcomeKind>(kind), EndResult.Recorded));

    /// <summary>Nothing is counted as recorded, or as released, before the store has it.</summary>
    [Theory]
    [InlineData(nameof(OutcomeKind.Answered), nameof(EndResult.Later), "not-recorded")]
    [InlineData(nameof(OutcomeKind.Answered), nameof(EndResult.Dropped), "not-recorded")]
    [InlineData(nameof(OutcomeKind.Answered), nameof(EndResult.Refused), "not-recorded")]
    [InlineData(nameof(OutcomeKind.NotKept), nameof(EndResult.Later), "not-recorded")]
    [InlineData(nameof(OutcomeKind.Refused), nameof(EndResult.Later), "not-recorded")]
    [InlineData(nameof(OutcomeKind.NotForwarded), nameof(EndResult.Dropped), "not-recorded")]
    [InlineData(nameof(OutcomeKind.UncertainAnswer), nameof(EndResult.Later), "outcome-uncertain")]
    [InlineData(nameof(OutcomeKind.Uncertain), nameof(EndResult.Refused), "outcome-uncertain")]
    public void AForwardThatTheStoreDidNotTake_IsCountedAsThat(string kind, string end, string outcome) =>
        AssertRequest(outcome, () => _journal.Forwarded(_policy, default, 201, Enum.Parse<OutcomeKind>(kind), Enum.Parse<EndResult>(end)));

    [Fact]
    public void EveryKindOfOutcome_HasACase() =>
        Assert.Equal(
            Enum.GetNames<OutcomeKind>().Except([nameof(OutcomeKind.NeverSent)]).Order(), // its client is told one of several things
            typeof(IdempotencyMetricsTests).GetMethod(nameof(AForward_IsCountedByItsOutcome))!.GetCustomAttributesData()
                .Where(attribute => attribute.AttributeType == typeof(InlineDataAttribute))
                .Select(attribute => (string)((IReadOnlyList<System.Reflection.CustomAttributeTypedArgument>)attribute.ConstructorArguments[0].Value!)[0].Value!)
                .Order());

    [Fact]
    public void AReplay_IsCountedAsOne() => AssertRequest("replayed", () => _journal.Replayed(_policy, default, 201));

    [Fact]
    public void ABypass_IsCountedAsOne() => AssertRequest("bypassed", () => _journal.Bypassed(_policy));

    [Fact]
    public void AnObservation_IsCountedByWhatWouldHaveBeen() => AssertRequest("would-replayed", () => _journal.Observed(_policy, "replayed"));

    [Theory]
    [MemberData(nameof(UnusableReasons))]
    public void AnAnswerThatCannotBeUsed_IsCountedByItsReason(string reason)
    {
        using var counted = new MetricCollector<long>(Meters, IdempotencyMetrics.MeterName, "gateway.idempotency.unusable_records");

        _journal.UnusableRecord(_policy, default, Enum.Parse<RecordParse>(reason));

        AssertOne(counted, "policy=payments reason=" + reason, 1);
    }

    [Fact]
    public void TheBytesInMemory_AreThoseThatWereTaken_AndNotGivenBack()
    {
        var budget = new BufferBudget(new LimitSettings(), _metrics);
        using var gauge = new MetricCollector<long>(Meters, IdempotencyMetrics.MeterName, "gateway.idempotency.buffered_bytes");

        budget.TryTakeForRequest(1000, held: 0, caller: null);
        budget.TryTakeForAnswer(100);
        budget.Return(10);
        gauge.RecordObservableInstruments();

        AssertOne(gauge, "", 1090);
    }

    private void AssertRequest(string outcome, Action happens)
    {
        using var counted = new MetricCollector<long>(Meters, IdempotencyMetrics.MeterName, "gateway.idempotency.requests");

        happens();

        AssertOne(counted, $"outcome={outcome} policy=payments", 1);
    }

    private static void AssertOne(MetricCollector<long> collector, string labels, long value)
    {
        var measurement = Assert.Single(collector.GetMeasurementSnapshot());
        Assert.Equal(labels, string.Join(' ', measurement.Tags.OrderBy(tag => tag.Key, StringComparer.Ordinal).Select(tag => $"{tag.Key}={tag.Value}")));
        Assert.Equal(value, measurement.Value);
    }
}
