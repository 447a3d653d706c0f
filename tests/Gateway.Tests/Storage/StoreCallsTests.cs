using System.Diagnostics;
using Idempotency.Storage;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>Calls to a server are bounded in number and in time, whatever its client does.</summary>
public sealed class StoreCallsTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly StoreCalls _calls;

    public StoreCallsTests() => _calls = new StoreCalls("Server", _time, maxOutstanding: 1);

    [Fact]
    public async Task OneTooMany_FailsAtOnce_AndIsNotBegun()
    {
        var answer = new TaskCompletionSource<int>();
        var first = RunAsync(answer.Task);

        var e = await Assert.ThrowsAsync<StoreUnavailableException>(() => _calls.RunAsync<int>(() => throw new UnreachableException(), TimeSpan.FromSeconds(1), CancellationToken.None));
        answer.SetResult(7);

        Assert.Equal(("more than 1 calls to Server are under way", false), (e.Message, e.MayHaveTakenEffect));
        Assert.Equal(7, await first);
        Assert.Equal(8, await RunAsync(Task.FromResult(8)));
    }

    [Fact]
    public async Task WhatIsGivenUp_CountsUntilTheClientIsDoneWithIt()
    {
        var answer = new TaskCompletionSource<int>();
        var first = RunAsync(answer.Task);
        _time.Advance(TimeSpan.FromSeconds(1));
        await Assert.ThrowsAsync<TimeoutException>(() => first);

        await Assert.ThrowsAsync<StoreUnavailableException>(() => RunAsync(Task.FromResult(8)));
        answer.SetResult(7);

        Assert.Equal(8, await RunAsync(Task.FromResult(8)));
    }

    [Fact]
    public async Task WhatFailsToBegin_CountsNoMore()
    {
        await Assert.ThrowsAsync<UnreachableException>(() => _calls.RunAsync<int>(() => throw new UnreachableException(), TimeSpan.FromSeconds(1), CancellationToken.None));
        await Assert.ThrowsAsync<TimeoutException>(() => _calls.RunAsync(() => new TaskCompletionSource<int>().Task, TimeSpan.FromSeconds(-1), CancellationToken.None)); // no time was left
    }

    private Task<int> RunAsync(Task<int> answer) => _calls.RunAsync(() => answer, TimeSpan.FromSeconds(1), CancellationToken.None);
}
