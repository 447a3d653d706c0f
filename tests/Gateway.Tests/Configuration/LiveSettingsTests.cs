using Gateway.Configuration;
using Gateway.Tests.Repository;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Gateway.Tests.Configuration;

/// <summary>Hot reload: a right file replaces everything together, a wrong one nothing.</summary>
public sealed class LiveSettingsTests : IDisposable
{
    private readonly TemporaryFile _file = new(Config("\"default\"", "00:00:20"));
    private readonly LiveSettings _live;

    public LiveSettingsTests()
    {
        var settings = SettingsLoader.Load(_file.Path, new ConfigurationErrors())!;
        _live = new LiveSettings(_file.Path, settings, new PolicyBook(settings.Policies), TimeProvider.System, NullLogger<LiveSettings>.Instance);
    }

    [Fact]
    public void ChangedFile_ReplacesPoliciesAndRoutes()
    {
        var change = _live.Proxy.GetConfig().ChangeToken;

        Rewrite(Config("\"default\"", "00:00:40"));

        Assert.True(change.HasChanged);
        Assert.Equal(TimeSpan.FromSeconds(40), _live.Current.Policies["default"].Lease);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{ "Unknown": 1 }""")]
    [InlineData("""{ "Idempotency": { "Policies": { "default": { "Lease": "40" } } } }""")]
    public void WrongFile_ChangesNothing(string config)
    {
        var change = _live.Proxy.GetConfig().ChangeToken;

        Rewrite(config);

        Assert.False(change.HasChanged);
        Assert.Equal(TimeSpan.FromSeconds(20), _live.Current.Policies["default"].Lease);
    }

    [Theory]
    [InlineData("null")]
    [InlineData("\"\"")]
    [InlineData("{}")]
    public void PolicyNameThatIsNoName_ChangesNothing(string name)
    {
        Rewrite(Config(name, "00:00:40"));

        Assert.Equal(TimeSpan.FromSeconds(20), _live.Current.Policies["default"].Lease);
    }

    [Fact]
    public void MissingFile_ChangesNothing_AndIsTakenUpWhenItIsBack()
    {
        File.Delete(_file.Path);
        _live.Refresh();
        Assert.Equal(TimeSpan.FromSeconds(20), _live.Current.Policies["default"].Lease);

        Rewrite(Config("\"default\"", "00:00:40"));
        Assert.Equal(TimeSpan.FromSeconds(40), _live.Current.Policies["default"].Lease);
    }

    public void Dispose()
    {
        _live.Dispose();
        _file.Dispose();
    }

    private static string Config(string policy, string lease) => $$"""
        {
          "Idempotency": { "Policies": { "default": { "Lease": "{{lease}}" } } },
          "ReverseProxy": {
            "Routes": { "a": { "ClusterId": "c", "Match": { "Path": "/a" }, "Metadata": { "Idempotency": {{policy}} } } },
            "Clusters": { "c": { "Destinations": { "one": { "Address": "http://127.0.0.1:5001/" } } } }
          }
        }
        """;

    private void Rewrite(string config)
    {
        File.WriteAllText(_file.Path, config);
        _live.Refresh();
    }
}
