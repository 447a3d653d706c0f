using Gateway.Tests.Storage;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Hosting.Internal;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Idempotency;

/// <summary>Steps 3 to 7: what is decided, and that nothing is held by a request which does not go on.</summary>
public sealed class DeciderTests : IAsyncDisposable
{
    private const string Key = "\"k1\"";

    private static readonly IdempotencyPolicy Policy = new() { Name = "p" };
    private static readonly LockPolicy Seat = new([Selector.Header("X-Seat")], Contention.Reject, TimeSpan.FromSeconds(1), 10);

    private readonly FakeTimeProvider _time = new(DateTimeOffset.UnixEpoch.AddYears(56));
    private readonly ApplicationLifetime _lifetime = new(NullLogger<ApplicationLifetime>.Instance);
    private readonly ServiceProvider _services;

    public DeciderTests()
    {
        var services = new ServiceCollection().AddLogging().AddRouting().AddSingleton<TimeProvider>(_time).AddSingleton<IHostApplicationLifetime>(_lifetime);
        services.AddSingleton(new MemoryStore.Database(_time));
        services.AddReverseProxy().LoadFromMemory([], []).AddIdempotency(new ConfigurationBuilder().Build().GetSection("Idempotency")).UseStore<FailingStore>();
        _services = services.BuildServiceProvider();
    }

    private LeaseKeeper Leases => _services.GetRequiredService<LeaseKeeper>();

    private FailingStore Store => (FailingStore)_services.GetRequiredService<IIdempotencyStore>();

    public async ValueTask DisposeAsync() => await _services.DisposeAsync();

    [Fact]
    public async Task TheFirst_IsForwarded()
    {
        var forward = Assert.IsType<Decision.Forward>(await DecideAsync(Policy));

        Assert.Equal((1, null), (forward.Claim!.Request.Attempt, forward.Lock));
        Assert.Equal((Policy.Lease, Policy.Retention), (forward.Claim.Request.Lease, forward.Claim.Request.Retention));
        Assert.Equal(1, Leases.Count);
    }

    [Theory]
    [InlineData(nameof(PolicyMode.Required), "key-missing")]
    [InlineData(nameof(PolicyMode.Observe), "key-missing")]
    [InlineData(nameof(PolicyMode.Optional), null)]
    public async Task WithoutAKey(string mode, string? problem)
    {
        var decision = await DecideAsync(Policy with { Mode = Enum.Parse<PolicyMode>(mode) }, key: null);

        if (problem is null)
        {
            Assert.IsType<Decision.PassOn>(decision);
        }
        else
        {
            ExpectRefusal(problem, decision);
        }

        Assert.Equal(0, Leases.Count);
    }

    [Fact]
    public async Task WithoutAKey_TheLockIsTaken()
    {
        var policy = Policy with { Mode = PolicyMode.Optional, Lock = Seat };

        var forward = Assert.IsType<Decision.Forward>(await DecideAsync(policy, key: null));

        Assert.Null(forward.Claim);
        Assert.True(forward.Lock!.Claim.Request.IsLock);
        ExpectRefusal("resource-locked", await DecideAsync(policy, key: null));
    }

    [Fact]
    public async Task AKeyThatStandsElsewhere_IsNamed()
    {
        var refusal = ExpectRefusal("key-missing", await DecideAsync(Policy with { Key = [Selector.Header("X-Request-Id"), Selector.Header("X-Other")] }));

        Assert.Equal("Expected one of: header:X-Request-Id, header:X-Other.", refusal.Detail);
        Assert.Null(ExpectRefusal("key-missing", await DecideAsync(Policy, key: null)).Detail);
    }

    [Fact]
    public async Task WhatIsWrongWithTheRequest_IsRefused()
    {
        ExpectRefusal("key-invalid", await DecideAsync(Policy, key: "\"\""));
        ExpectRefusal("request-invalid", await DecideAsync(Policy, prepare: context => context.Request.Headers["Idempotency_Key"] = Key));
        ExpectRefusal("request-too-large", await DecideAsync(Policy with { MaxRequestBodyBytes = 1 }, body: "{}"));
        ExpectRefusal("upgrade-not-supported", await DecideAsync(Policy, prepare: context => context.Features.Set<IHttpUpgradeFeature>(new Upgradable())));
        ExpectRefusal("request-invalid", await DecideAsync(Policy with { Scope = [Selector.Parse("claim:sub", out _)!] }));
        Assert.Equal(0, Leases.Count);
        Assert.IsType<Decision.Forward>(await DecideAsync(Policy, prepare: context =>
        {
            context.Features.Set<IHttpUpgradeFeature>(new Upgradable());
            context.Request.Headers.Upgrade = "h2c"; // an offer, which is not followed
        }));
    }

    [Theory]
    [InlineData(nameof(PolicyMode.Required))]
    [InlineData(nameof(PolicyMode.Observe))]
    public async Task WhatIsOnRecord_Decides(string mode)
    {
        var policy = Policy with { Mode = Enum.Parse<PolicyMode>(mode) };
        var claim = Assert.IsType<Decision.Forward>(await DecideAsync(policy)).Claim!;

        var inProgress = ExpectRefusal("in-progress", await DecideAsync(policy));
        var reused = ExpectRefusal("key-reused", await DecideAsync(policy, body: """{"other":1}"""));
        await SettleAsync(claim);
        var replay = Assert.IsType<Decision.Replay>(await DecideAsync(policy));

        Assert.Equal((policy.Lease, claim.Request.Id), (inProgress.RetryAfter, inProgress.Record));
        Assert.Equal(claim.Request.Id, reused.Record);
        Assert.Contains("What differs: body.", reused.Detail, StringComparison.Ordinal);
        Assert.Equal((201, claim.Request.Id), (replay.Answer.Status, replay.Key.Id));
        Assert.Equal(0, Leases.Count);
    }

    [Theory]
    [InlineData(nameof(UncertainRetries.Refuse), nameof(PolicyMode.Required), false)]
    [InlineData(nameof(UncertainRetries.Retry), nameof(PolicyMode.Required), true)]
    [InlineData(nameof(UncertainRetries.Retry), nameof(PolicyMode.Observe), false)] // it takes nothing over
    public async Task AnUncertainKey_IsTakenOver_WhereThePolicySaysSo(string retries, string mode, bool isTakenOver)
    {
        await LeaveUncertainAsync();

        var decision = await DecideAsync(Policy with { UncertainRetries = Enum.Parse<UncertainRetries>(retries), Mode = Enum.Parse<PolicyMode>(mode) });

        if (isTakenOver)
        {
            Assert.Equal(2, Assert.IsType<Decision.Forward>(decision).Claim!.Request.Attempt);
        }
        else
        {
            Assert.NotNull(ExpectRefusal("outcome-uncertain", decision).Record);
        }
    }

    [Fact]
    public async Task AnUncertainKey_OfAnotherRequest_IsNotTakenOver()
    {
        await LeaveUncertainAsync();

        ExpectRefusal("key-reused", await DecideAsync(Policy with { UncertainRetries = UncertainRetries.Retry }, body: """{"other":1}"""));
        ExpectRefusal("outcome-uncertain", await DecideAsync(Policy));
    }

    [Fact]
    public async Task ALockThatIsHeld_LeavesTheKeyFree()
    {
        var policy = Policy with { Lock = Seat };
        var first = Assert.IsType<Decision.Forward>(await DecideAsync(policy));

        var refusal = ExpectRefusal("resource-locked", await DecideAsync(policy, key: "\"k2\""));
        await first.Lock!.EndAsync(isBackendDone: true);

        Assert.NotEqual(first.Claim!.Request.Id, refusal.Record);
        Assert.NotNull(refusal.Record);
        Assert.IsType<Decision.Forward>(await DecideAsync(policy, key: "\"k2\"", body: """{"other":1}"""));
    }

    [Fact]
    public async Task ALockThatIsHeld_LeavesATakenOverKeyUncertain_AndSaysSo()
    {
        await LeaveUncertainAsync();
        var policy = Policy with { UncertainRetries = UncertainRetries.Retry, Lock = Seat };
        Assert.IsType<Decision.Forward>(await DecideAsync(policy, key: "\"k2\""));

        ExpectRefusal("outcome-uncertain", await DecideAsync(policy));
        ExpectRefusal("outcome-uncertain", await DecideAsync(Policy));
    }

    [Fact]
    public async Task NothingToLockOn_LeavesTheKeyFree()
    {
        var policy = Policy with { Lock = Seat };

        var refusal = ExpectRefusal("request-invalid", await DecideAsync(policy, prepare: context => context.Request.Headers.Remove("X-Seat")));

        Assert.Contains("header:X-Seat", refusal.Detail, StringComparison.Ordinal);
        Assert.Equal(0, Leases.Count);
        Assert.IsType<Decision.Forward>(await DecideAsync(policy));
    }

    [Fact]
    public async Task UnderObserve_NothingIsLocked()
    {
        var policy = Policy with { Mode = PolicyMode.Observe, Lock = Seat };

        Assert.All([await DecideAsync(policy), await DecideAsync(policy, key: "\"k2\"")], decision => Assert.Null(Assert.IsType<Decision.Forward>(decision).Lock));
    }

    [Fact]
    public async Task AKeyOlderThanRecordsLive_IsRefused_AndFree()
    {
        var policy = Policy with { KeyTime = [KeyTime.FirstSent] };
        void Sent(HttpContext context, TimeSpan ago) => context.Request.Headers["Repeatability-First-Sent"] = (_time.GetUtcNow() - ago).ToString("r");

        ExpectRefusal("key-expired", await DecideAsync(policy, prepare: context => Sent(context, policy.Retention + TimeSpan.FromMinutes(1))));

        Assert.Equal(0, Leases.Count);
        Assert.IsType<Decision.Forward>(await DecideAsync(policy, prepare: context => Sent(context, TimeSpan.FromMinutes(1))));
    }

    [Fact]
    public async Task ANewerRelease_KnowsBetter()
    {
        await Store.ClaimAsync(await RecordedAsync(version: 99), CancellationToken.None);

        var refusal = ExpectRefusal("store-unavailable", await DecideAsync(Policy));

        Assert.Contains("newer release", refusal.Detail, StringComparison.Ordinal);
        Assert.Equal(Refusals.SoonRetryAfter, refusal.RetryAfter);
    }

    [Fact]
    public async Task AStoreThatIsAway_RefusesOrIsPassedBy()
    {
        Store.IsAway = true;

        Assert.Equal(Refusals.SoonRetryAfter, ExpectRefusal("store-unavailable", await DecideAsync(Policy)).RetryAfter);
        Assert.IsType<Decision.Bypass>(await DecideAsync(Policy with { StoreDown = StoreDown.Bypass }));
        Assert.IsType<Decision.Bypass>(await DecideAsync(Policy with { StoreDown = StoreDown.Bypass, Mode = PolicyMode.Optional, Lock = Seat }, key: null));
    }

    [Fact]
    public async Task AProcessThatEnds_TakesNoClaims()
    {
        _services.GetRequiredService<Drain>();
        _lifetime.StopApplication();

        Assert.Equal(Refusals.DrainRetryAfter, ExpectRefusal("shutting-down", await DecideAsync(Policy)).RetryAfter);
        Assert.Equal(0, Store.Claims);
    }

    /// <summary>It began to end while the request was claimed: key and lock are free, or as uncertain as they were, and another instance is named.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AProcessThatEndsMeanwhile_HoldsNothing(bool isTakeOver)
    {
        if (isTakeOver)
        {
            await LeaveUncertainAsync();
        }

        var policy = Policy with { UncertainRetries = UncertainRetries.Retry, Lock = Seat };
        _services.GetRequiredService<Drain>();
        Store.Claimed = _lifetime.StopApplication;

        var refusal = ExpectRefusal("shutting-down", await DecideAsync(policy));

        Assert.NotNull(refusal.Record);
        Assert.Equal(0, Leases.Count);
        Assert.Equal(isTakeOver ? ClaimState.Uncertain : null, (await Store.WatchAsync(refusal.Record.Value, CancellationToken.None))?.State);
    }

    private static Decision.Refuse ExpectRefusal(string problem, Decision decision)
    {
        var refusal = Assert.IsType<Decision.Refuse>(decision);
        Assert.Equal(problem, refusal.Problem.Slug);
        return refusal;
    }

    private async Task<Decision> DecideAsync(IdempotencyPolicy policy, string? key = Key, string body = "{}", Action<HttpContext>? prepare = null)
    {
        var context = new DefaultHttpContext { RequestServices = _services };
        context.Request.Method = "POST";
        context.Request.Scheme = "http";
        context.Request.Host = new HostString("api.example");
        context.Request.Path = "/orders";
        context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget = "/orders";
        context.Request.Body = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(body));
        context.Request.Headers["X-Seat"] = "12A";
        if (key is not null)
        {
            context.Request.Headers["Idempotency-Key"] = key;
        }

        prepare?.Invoke(context);
        await using var request = new CoveredRequest(context, policy);
        return await _services.GetRequiredService<Decider>().DecideAsync(request);
    }

    private async Task SettleAsync(HeldClaim claim) => Assert.Equal(EndResult.Recorded, await Leases.EndAsync(
        claim, ClaimEnd.Settle, _services.GetRequiredService<RecordSeal>().Write(claim.Request.Id, new StoredResponse(201, [], "made"u8.ToArray()))));

    private async Task LeaveUncertainAsync() => Assert.Equal(EndResult.Recorded, await Leases.EndAsync(
        Assert.IsType<Decision.Forward>(await DecideAsync(Policy)).Claim!, ClaimEnd.MarkUncertain));

    /// <summary>A claim of the same record, with a fingerprint of that version.</summary>
    private async Task<ClaimRequest> RecordedAsync(byte version)
    {
        var claim = Assert.IsType<Decision.Forward>(await DecideAsync(Policy)).Claim!;
        await Leases.ReleaseAsync(claim);
        return claim.Request with { Token = ClaimToken.Create(), Fingerprint = claim.Request.Fingerprint with { Version = version } };
    }

    /// <summary>A store that can be away, and that tells of a claim before its answer comes.</summary>
    private sealed class FailingStore(MemoryStore.Database database) : MemoryStore(database)
    {
        public bool IsAway { get; set; }

        public Action? Claimed { get; set; }

        public int Claims { get; private set; }

        public override ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
        {
            Claims++;
            Claimed?.Invoke();
            return IsAway ? throw new StoreUnavailableException("away") : base.ClaimAsync(claim, cancellationToken);
        }
    }

    private sealed class Upgradable : IHttpUpgradeFeature
    {
        public bool IsUpgradableRequest => true;

        public Task<Stream> UpgradeAsync() => throw new NotSupportedException();
    }
}
