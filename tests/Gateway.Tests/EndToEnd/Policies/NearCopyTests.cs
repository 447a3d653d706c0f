using Gateway.Tests.Support;
using Idempotency.Storage;
using Xunit;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Recorded answers in the memory of an instance: replayed without the store, and no longer than the store would.</summary>
public abstract class NearCopyTests(PolicyGateways gateways)
{
    private readonly string _key = EmbeddedGateway.NewKey();

    [StoreFact]
    public async Task AReplay_NeedsNoStore()
    {
        await using var without = await gateways.StartGatewayAsync(("Idempotency__NearCopy__MaxEntries", "0"));
        var path = PolicyGateways.NewPath("wait");
        var first = await gateways.PostAsync(gateways.First, path, _key);
        Expect.Replay(first, await gateways.PostAsync(gateways.Other, path, _key));
        Expect.Replay(first, await gateways.PostAsync(without, path, _key));

        await using (await gateways.SuspendStoreAsync())
        {
            Expect.Replay(first, await gateways.PostAsync(gateways.First, path, _key)); // settled here
            Expect.Replay(first, await gateways.PostAsync(gateways.Other, path, _key)); // replayed here
            Expect.Problem(422, "key-reused", await gateways.PostAsync(gateways.First, path, _key, """{"another":1}"""));
            Expect.Problem(503, "store-unavailable", await gateways.PostAsync(without, path, _key));
        }

        Expect.Replay(first, await gateways.PostUntilAnsweredAsync(without, path, _key));
        Assert.Single(gateways.ArrivalsAt(path));
        await gateways.StoreIsBackAsync();
    }

    [StoreFact]
    public async Task WhenTheRetentionIsOver_TheRequestIsANewOne()
    {
        var path = PolicyGateways.NewPath("brief");
        var first = await gateways.PostAsync(gateways.First, path, _key);
        Expect.Replay(first, await gateways.PostAsync(gateways.First, path, _key));
        Expect.Replay(first, await gateways.PostAsync(gateways.Other, path, _key));

        await Task.Delay(PolicyGateways.BriefRetention);

        Assert.False((await gateways.PostAsync(gateways.Other, path, _key)).IsReplay);
        Assert.Equal(2, gateways.ArrivalsAt(path).Count);
        Assert.True((await gateways.PostAsync(gateways.Other, path, _key)).IsReplay);
    }

    [StoreFact]
    public async Task AnAnswerOfALaterAttempt_IsKeptNoLongerThanItsRecord()
    {
        var path = PolicyGateways.NewPath("brief");
        gateways.CutOnceAt(path);
        Assert.Equal(502, (await gateways.PostAsync(gateways.First, path, _key)).Status);
        await Task.Delay(PolicyGateways.BriefRetention - PolicyGateways.Lease); // the retention goes on when the key is taken over
        Assert.Equal(201, (await gateways.PostAsync(gateways.First, path, _key)).Status);
        Assert.True((await gateways.PostAsync(gateways.First, path, _key)).IsReplay);

        await Task.Delay(PolicyGateways.Lease);

        Assert.False((await gateways.PostAsync(gateways.First, path, _key)).IsReplay);
        Assert.Equal(3, gateways.ArrivalsAt(path).Count);
    }

    [StoreFact]
    public async Task WhenTheRecordIsDeletedAtAnotherInstance_AllCopiesGo()
    {
        var path = PolicyGateways.NewPath("wait");
        var before = (await gateways.ReadAnswersAsync()).Keys;
        var first = await gateways.PostAsync(gateways.First, path, _key);
        Expect.Replay(first, await gateways.PostAsync(gateways.Other, path, _key));
        var record = Assert.Single((await gateways.ReadAnswersAsync()).Keys.Except(before));
        await using var operators = await gateways.OpenStoreAsync();

        Assert.True(await operators.ForgetAsync(ToId(record), default));

        if (!HearsOfOthers)
        {
            Expect.Replay(first, await gateways.PostAsync(gateways.First, path, _key)); // for a minute at most, which is not waited for
            return;
        }

        await Eventually.TrueAsync(async () => !(await gateways.PostAsync(gateways.Other, path, _key)).IsReplay || gateways.ArrivalsAt(path).Count == 2, "deleted", TimeSpan.FromSeconds(1));
        Assert.Equal(2, gateways.ArrivalsAt(path).Count);
        Assert.NotEqual(first.Text, (await gateways.PostAsync(gateways.First, path, _key)).Text);
        Assert.Equal(2, gateways.ArrivalsAt(path).Count);
    }

    /// <summary>Whether an instance is told what another one does.</summary>
    private protected abstract bool HearsOfOthers { get; }

    private static RecordId ToId(string record) =>
        RecordId.TryParse(record.Split(':')[^1].ToLowerInvariant(), out var id) ? id : throw new FormatException(record);
}

public sealed class EmbeddedNearCopyTests(EmbeddedPolicyGateways gateways) : NearCopyTests(gateways), IClassFixture<EmbeddedPolicyGateways>
{
    private protected override bool HearsOfOthers => false;
}

[OnRedis]
public sealed class RedisNearCopyTests(RedisPolicyGateways gateways) : NearCopyTests(gateways), IClassFixture<RedisPolicyGateways>
{
    private protected override bool HearsOfOthers => true;
}

[OnPostgres]
public sealed class PostgresNearCopyTests(PostgresPolicyGateways gateways) : NearCopyTests(gateways), IClassFixture<PostgresPolicyGateways>
{
    private protected override bool HearsOfOthers => true;
}
