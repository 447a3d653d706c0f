using Gateway.Configuration;
using Gateway.Tests.Repository;
using Idempotency.Yarp.Configuration;
using Xunit;

namespace Gateway.Tests.Configuration;

/// <summary>
/// Each configuration in Cases has beside it what must come of it: the effective settings, or the errors word for word. A new case is
/// one .json file: the first run writes the .expected.txt and fails, so that somebody reads it.
/// </summary>
public sealed class GoldenCaseTests
{
    private const string Folder = "tests/Gateway.Tests/Configuration/Cases";

    public static TheoryData<string> Names => [.. Cases()];

    [Theory]
    [MemberData(nameof(Names))]
    public void Configuration_IsReadAsExpected(string name)
    {
        var file = RepositoryFiles.PathOf($"{Folder}/{name}.json");
        var expectedFile = Path.ChangeExtension(file, ".expected.txt");
        var errors = new ConfigurationErrors();
        var settings = SettingsLoader.Load(file, errors);
        var actual = (settings is null ? SettingsText.Of(errors) : SettingsText.Of(settings)).Replace(file, "FILE", StringComparison.Ordinal);
        if (!File.Exists(expectedFile))
        {
            File.WriteAllText(expectedFile, actual);
            Assert.Fail($"{expectedFile} was missing and is written; read it, and run again.");
        }

        Assert.Equal(File.ReadAllText(expectedFile), actual);
    }

    [Fact]
    public void EveryExpectation_HasItsConfiguration() =>
        Assert.Equal(Cases().Select(name => $"{Folder}/{name}.expected.txt"), RepositoryFiles.Find(Folder, "*.txt"));

    private static IEnumerable<string> Cases() => RepositoryFiles.Find(Folder, "*.json").Select(file => Path.GetFileNameWithoutExtension(file));
}
