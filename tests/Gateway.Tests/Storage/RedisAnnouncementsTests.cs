using System.Globalization;
using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Extensions.Time.Testing;
using StackExchange.Redis;
using Xunit;

namespace Gateway.Tests.Storage;

/// <summary>Who waits is told, also when the client lost its subscription without a word.</summary>
[Collection(RedisCollection.Name)]
public sealed class RedisAnnouncementsTests(RedisServer server)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(5);

    private readonly string _channel = $"announcements-{Guid.NewGuid():N}";
    private readonly Ledger<RecordId> _heard = new();
    private readonly FakeTimeProvider _time = new();

    [RedisFact]
    public async Task ASubscriptionThatTheClientLost_IsMadeAgain()
    {
        using var link = await ConnectAsync(server.Configuration);
        var announcements = NewAnnouncements();
        await announcements.FollowAsync(link);
        await AssertToldAsync(server);

        await link.GetSubscriber().UnsubscribeAllAsync();
        await announcements.FollowAsync(link);
        Assert.Equal(0, await PublishAsync(server, StoreContractTests.NewClaim().Id));
        _time.Advance(RedisAnnouncements.RenewInterval);
        await announcements.FollowAsync(link);

        await AssertToldAsync(server);
    }

    /// <summary>The client remembers a subscription that the server does not have.</summary>
    [RedisFact(ownServer: true)]
    public async Task ASubscriptionThatTheServerRefused_IsMadeAgain()
    {
        await using var own = await RedisServer.StartOwnAsync();
        await own.CommandAsync("ACL", "SETUSER", "default", "resetchannels", "&__Booksleeve*");
        using var link = await ConnectAsync(own.Configuration);
        var announcements = NewAnnouncements();
        await announcements.FollowAsync(link);
        await own.CommandAsync("ACL", "SETUSER", "default", "allchannels");
        Assert.Equal(0, await PublishAsync(own, StoreContractTests.NewClaim().Id));

        _time.Advance(RedisAnnouncements.RenewInterval);
        await announcements.FollowAsync(link);

        await AssertToldAsync(own);
    }

    [RedisFact]
    public async Task ASubscriptionThatStands_IsStillOneAfterItsRenewal()
    {
        using var link = await ConnectAsync(server.Configuration);
        var announcements = NewAnnouncements();
        for (var i = 0; i < 3; i++)
        {
            await announcements.FollowAsync(link);
            await AssertToldAsync(server);
            _time.Advance(RedisAnnouncements.RenewInterval);
        }

        Assert.Equal(_heard.Count, _heard.Distinct().Count());
    }

    /// <summary>A silent connection for subscriptions, beside one that works, must not slow down whoever looks.</summary>
    [RedisFact]
    public async Task ARenewal_IsNotWaitedFor()
    {
        await using var proxy = TcpProxy.Start(server.Configuration);
        using var link = await ConnectAsync(proxy.Endpoint);
        var announcements = NewAnnouncements();
        await announcements.FollowAsync(link);

        proxy.BlackHole();
        _time.Advance(RedisAnnouncements.RenewInterval);

        Assert.True(announcements.FollowAsync(link).IsCompletedSuccessfully);
        Assert.True(announcements.FollowAsync(link).IsCompletedSuccessfully);
    }

    /// <summary>The connection for subscriptions may come a little later than the other.</summary>
    private static async Task<ConnectionMultiplexer> ConnectAsync(string configuration)
    {
        var link = await ConnectionMultiplexer.ConnectAsync(configuration);
        await Eventually.TrueAsync(() => link.GetSubscriber().IsConnected(), "connected");
        return link;
    }

    private RedisAnnouncements NewAnnouncements()
    {
        var announcements = new RedisAnnouncements(_channel, Timeout, _time);
        announcements.Heard += _heard.Add;
        return announcements;
    }

    private async Task AssertToldAsync(RedisServer at)
    {
        var id = StoreContractTests.NewClaim().Id;
        await Eventually.TrueAsync(async () => await PublishAsync(at, id) == 1, "subscribed"); // what is done again is not waited for
        await _heard.WaitForAsync(heard => heard == id);
    }

    /// <returns>How many subscriptions the server has.</returns>
    private async Task<int> PublishAsync(RedisServer at, RecordId id) => int.Parse(await at.CommandAsync("PUBLISH", _channel, id.ToString()), CultureInfo.InvariantCulture);
}
