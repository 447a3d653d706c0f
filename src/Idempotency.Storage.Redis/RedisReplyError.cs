namespace Idempotency.Storage.Redis;

/// <summary>An error that a server answered <see cref="RedisKnock"/> with.</summary>
internal sealed record RedisReplyError(string Text);
