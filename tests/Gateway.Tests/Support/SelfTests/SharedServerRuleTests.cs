using Xunit;

namespace Gateway.Tests.Support.SelfTests;

/// <summary>Where shared servers come from, and what becomes of tests when there is none.</summary>
public sealed class SharedServerRuleTests
{
    [Theory]
    [InlineData(true, null, true, true, SharedServerSource.Named)]
    [InlineData(true, "containers", true, true, SharedServerSource.Named)]
    [InlineData(true, "installed", true, true, SharedServerSource.Named)]
    [InlineData(false, null, true, true, SharedServerSource.Container)]
    [InlineData(false, null, true, false, SharedServerSource.Container)]
    [InlineData(false, null, false, true, SharedServerSource.Installed)]
    [InlineData(false, null, false, false, SharedServerSource.None)]
    [InlineData(false, "containers", true, true, SharedServerSource.Container)]
    [InlineData(false, "containers", false, true, SharedServerSource.Container)]
    [InlineData(false, "installed", true, true, SharedServerSource.Installed)]
    [InlineData(false, "installed", true, false, SharedServerSource.None)]
    internal void Source_IsTheNamedServer_ElseAContainer_ElseTheProgramInstalled(
        bool isNamed, string? demand, bool engineAnswers, bool isInstalled, SharedServerSource expected) =>
        Assert.Equal(expected, SharedServers.Choose(isNamed, demand, () => engineAnswers, isInstalled));

    [Fact]
    public void Source_ThatIsNotKnown_IsRefused()
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => SharedServers.Choose(isNamed: false, "container", () => true, isInstalled: true));

        Assert.Equal("TEST_SERVERS is 'container'; it may be 'containers' or 'installed'.", refusal.Message);
    }

    [Fact]
    public void Source_ThatIsNamedOrInstalled_NeedsNoEngine()
    {
        Assert.Equal(SharedServerSource.Named, SharedServers.Choose(isNamed: true, demand: null, Unasked, isInstalled: false));
        Assert.Equal(SharedServerSource.Installed, SharedServers.Choose(isNamed: false, "installed", Unasked, isInstalled: true));

        static bool Unasked() => throw new InvalidOperationException("The engine was asked.");
    }

    [Theory]
    [InlineData(true, false, null)]
    [InlineData(true, true, null)]
    [InlineData(false, false, "missing")]
    [InlineData(false, true, null)]
    public void Tests_WithoutAServer_AreSkipped_ButInContinuousIntegrationTheyRunAndFail(bool canServe, bool isContinuousIntegration, string? skipped) =>
        Assert.Equal(skipped, SharedServers.SkipReason(canServe, isContinuousIntegration, "missing"));
}
