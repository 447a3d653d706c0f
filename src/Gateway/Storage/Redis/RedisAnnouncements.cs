using StackExchange.Redis;

namespace Gateway.Storage.Redis;

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
    private volatile bool _hasFailed;
    private long _askedAt;

    public event Action<RecordId>? Heard;

    /// <summary>What the scripts publish to.</summary>
    public RedisValue Channel => channel;

    /// <summary>Subscribes once for each link, and again now and then. The task never fails, and ends within the timeout.</summary>
    public Task FollowAsync(IConnectionMultiplexer link)
    {
        if (IsFollowed(link))
        {
            return _subscribed;
        }

        lock (_lock)
        {
            if (!IsFollowed(link))
            {
                var isNew = link != _link;
                _hasFailed = false;
                Volatile.Write(ref _askedAt, time.GetTimestamp());
                _subscribed = SubscribeAsync(link, isNew);
                _link = link;
            }

            return _subscribed;
        }
    }

    private bool IsFollowed(IConnectionMultiplexer link) =>
        link == _link && (!_subscribed.IsCompleted || time.GetElapsedTime(Volatile.Read(ref _askedAt)) < (_hasFailed ? RetryInterval : RenewInterval));

    private async Task SubscribeAsync(IConnectionMultiplexer link, bool isNew)
    {
        var name = new RedisChannel(channel, RedisChannel.PatternMode.Literal);
        try
        {
            var subscriber = link.GetSubscriber();

            // The client sends no subscription that it remembers, even if the server refused it. Both are sent at once, so that hardly a word
            // falls between them.
            var forgotten = isNew ? Task.CompletedTask : subscriber.UnsubscribeAsync(name, Hear);
            await Task.WhenAll(forgotten, subscriber.SubscribeAsync(name, Hear)).WaitAsync(timeout, time);
        }
#pragma warning disable CA1031 // the client throws a dozen types; whatever it was, it is tried again, and callers poll meanwhile
        catch (Exception)
#pragma warning restore CA1031
        {
            _hasFailed = true;
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
