using StackExchange.Redis;

namespace Gateway.Storage.Redis;

/// <summary>
/// Hears the record ids that are announced on one channel. Best effort: what is announced while the link is down, or before the
/// subscription stands, is missed. The client subscribes again by itself when a link is restored; a new link is followed at its first use.
/// </summary>
internal sealed class RedisAnnouncements(string channel, TimeSpan timeout, TimeProvider time)
{
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private volatile IConnectionMultiplexer? _link;
    private volatile Task _subscribed = Task.CompletedTask;
    private volatile IConnectionMultiplexer? _refusedBy;
    private long _failedAt;

    public event Action<RecordId>? Heard;

    /// <summary>What the scripts publish to.</summary>
    public RedisValue Channel => channel;

    /// <summary>Subscribes once for each link. The task never fails, and ends within the timeout.</summary>
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
                Volatile.Write(ref _failedAt, 0);
                _subscribed = SubscribeAsync(link);
                _link = link;
            }

            return _subscribed;
        }
    }

    private bool IsFollowed(IConnectionMultiplexer link) =>
        link == _link && (Volatile.Read(ref _failedAt) is var failedAt && (failedAt == 0 || time.GetElapsedTime(failedAt) < RetryInterval));

    private async Task SubscribeAsync(IConnectionMultiplexer link)
    {
        var name = new RedisChannel(channel, RedisChannel.PatternMode.Literal);
        try
        {
            var subscriber = link.GetSubscriber();
            if (link == _refusedBy)
            {
                // The client remembers a subscription that the server refused, and would not send it again.
                await subscriber.UnsubscribeAsync(name, Hear).WaitAsync(timeout, time);
            }

            await subscriber.SubscribeAsync(name, Hear).WaitAsync(timeout, time);
        }
#pragma warning disable CA1031 // the client throws a dozen types; whatever it was, it is tried again, and callers poll meanwhile
        catch (Exception)
#pragma warning restore CA1031
        {
            _refusedBy = link;
            Volatile.Write(ref _failedAt, time.GetTimestamp());
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
