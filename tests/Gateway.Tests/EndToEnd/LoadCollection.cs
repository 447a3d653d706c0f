using Xunit;

namespace Gateway.Tests.EndToEnd;

/// <summary>Tests that keep both cores busy: they run alone, after all others, so that nobody's timeouts are stretched.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class LoadCollection
{
    public const string Name = "load";
}
