using Xunit;

namespace Gateway.Tests.Support;

/// <summary>Tests that share one Redis and therefore run one after another; each flushes what it needs empty.</summary>
[CollectionDefinition(Name)]
public sealed class RedisCollection : ICollectionFixture<RedisServer>
{
    public const string Name = "redis";
}
