using System.Globalization;
using Gateway.Storage;
using Gateway.Storage.Redis;
using Gateway.Tests.Support;
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
    private readonly LaterTime _time = new();

    [RedisFact]
    public async Task ASubscriptionThatTheClientLost_IsMadeAgain()
    {
        using var link = await ConnectionMultiplexer.ConnectAsync(server.Configuration);
        var announcements = NewAnnouncements();
        await announcements.FollowAsync(link);
        await AssertToldAsync();

        await link.GetSubscriber().UnsubscribeAllAsync();
        await announcements.FollowAsync(link);
        Assert.Equal(0, await PublishAsync(StoreContract.NewClaim().Id));
        _time.Advance(RedisAnnouncements.RenewInterval);
        await announcements.FollowAsync(link);

        await AssertToldAsync();
    }

    [RedisFact]
    public async Task ASubscriptionThatStands_IsStillOneAfterItsRenewal()
    {
        using var link = await ConnectionMultiplexer.ConnectAsync(server.Configuration);
        var announcements = NewAnnouncements();
        for (var i = 0; i < 3; i++)
        {
            await announcements.FollowAsync(link);
            await AssertToldAsync();
            _time.Advance(RedisAnnouncements.RenewInterval);
        }

        Assert.Equal(3, _heard.Count);
    }

    private RedisAnnouncements NewAnnouncements()
    {
        var announcements = new RedisAnnouncements(_channel, Timeout, _time);
        announcements.Heard += _heard.Add;
        return announcements;
    }

    private async Task AssertToldAsync()
    {
        var id = StoreContract.NewClaim().Id;
        Assert.Equal(1, await PublishAsync(id));
        await _heard.WaitForAsync(heard => heard == id);
    }

    /// <returns>How many subscriptions the server has.</returns>
    private async Task<int> PublishAsync(RecordId id) => int.Parse(await server.CommandAsync("PUBLISH", _channel, id.ToString()), CultureInfo.InvariantCulture);

    /// <summary>Real time, and more once it is advanced.</summary>
    private sealed class LaterTime : TimeProvider
    {
        private long _offset;

        public void Advance(TimeSpan by) => _offset += by.Ticks * (TimestampFrequency / TimeSpan.TicksPerSecond);

        public override long GetTimestamp() => System.GetTimestamp() + _offset;
    }
}
