using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>The list of the inner loop.</summary>
public sealed class QuickTests
{
    [Fact]
    public void EveryLine_IsTheBeginningOfATestClass()
    {
        var classes = typeof(QuickTests).Assembly.GetTypes()
            .Where(type => type is { IsClass: true, IsAbstract: false } && type.GetMethods().Any(method => method.GetCustomAttributes(typeof(FactAttribute), inherit: true).Length > 0))
            .Select(type => type.FullName!)
            .ToList();
        var lines = RepositoryFiles.Read("tests/quick.txt").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => line[0] != '#').ToList();

        Assert.NotEmpty(lines);
        Assert.All(lines, line => Assert.Contains(classes, name => name.StartsWith(line, StringComparison.Ordinal)));
    }
}
