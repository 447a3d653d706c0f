using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// Hears the record ids that are announced on one channel. Best effort: what is announced while the link is down, or before the
/// subscription stands, is missed. A new link is followed at its first use. The client subscribes again by itself when a link is restored,
/// but not always: after a server that hung for seconds it may have unsubscribed for good (StackExchange.Redis, issue 1110). So a
/// subscription that is used is made again every few seconds.
/// </summary>
internal sealed class RedisAnnouncements(string channel, TimeSpan timeout, TimeProvider time)
{
    /// <summary>How long a subscription is believed to stand.</summary>
    public static readonly TimeSpan RenewInterval = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private volatile IConnectionMultiplexer? _link;
    private volatile Task _subscribed = Task.CompletedTask;
    private volatile bool _isAsking;
    private volatile bool _stands;
    private long _askedAt;

    public event Action<RecordId>? Heard;

    /// <summary>What the scripts publish to.</summary>
    public RedisValue Channel => channel;

    /// <summary>Subscribes once for each link, and again now and then. The task never fails, and ends within the timeout.</summary>
    /// <returns>Completes when the link was first subscribed to, or could not be; what is done again is not waited for.</returns>
    public Task FollowAsync(IConnectionMultiplexer link)
    {
        if (IsFollowed(link))
        {
            return _subscribed;
        }

        lock (_lock)
        {
            if (link != _link)
            {
                _subscribed = SubscribeAsync(link);
                _link = link;
            }
            else if (!IsFollowed(link))
            {
                _ = SubscribeAsync(link);
            }

            return _subscribed;
        }
    }

    private bool IsFollowed(IConnectionMultiplexer link) =>
        link == _link && (_isAsking || time.GetElapsedTime(Volatile.Read(ref _askedAt)) < (_stands ? RenewInterval : RetryInterval));

    private async Task SubscribeAsync(IConnectionMultiplexer link)
    {
        _isAsking = true;
        _stands = await TrySubscribeAsync(link);
        Volatile.Write(ref _askedAt, time.GetTimestamp());
        _isAsking = false;
    }

    private async Task<bool> TrySubscribeAsync(IConnectionMultiplexer link)
    {
        var name = new RedisChannel(channel, RedisChannel.PatternMode.Literal);
        try
        {
            var subscriber = link.GetSubscriber();
            if (!subscriber.IsConnected())
            {
                return false; // left alone: it remembers what to subscribe to once it is connected, and would forget
            }

            // It sends no subscription that it remembers, whatever the server has. Both are sent at once, so that hardly a word falls between.
            await Task.WhenAll(subscriber.UnsubscribeAsync(name), subscriber.SubscribeAsync(name, Hear)).WaitAsync(timeout, time);
            return subscriber.SubscribedEndpoint(name) is not null;
        }
#pragma warning disable CA1031 // the client throws a dozen types; whatever it was, it is tried again, and callers poll meanwhile
        catch (Exception)
#pragma warning restore CA1031
        {
            return false;
        }
    }

    private void Hear(RedisChannel from, RedisValue message)
    {
        if (RecordId.TryParse(message, out var id))
        {
            Heard?.Invoke(id);
        }
    }
}
