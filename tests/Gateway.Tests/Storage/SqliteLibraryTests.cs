using Idempotency.Storage.Sqlite;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class SqliteLibraryTests
{
    [Theory]
    [InlineData("3.50.4")] // what came with SQLitePCLRaw 3.0.3
    [InlineData("3.51.2")] // the last one with the bug
    [InlineData("3.7.0")]
    [InlineData("3.9.99")] // numbers, not text
    [InlineData("")]
    [InlineData("not told")]
    public void ALibraryWithTheWalResetBug_IsRefused_ByItsVersion_WithWhatIsNeededAndWhy(string version)
    {
        var refusal = Assert.Throws<InvalidOperationException>(() => SqliteLibrary.Require(version)).Message;

        Assert.Contains($"version {version},", refusal, StringComparison.Ordinal);
        Assert.Contains("3.51.3", refusal, StringComparison.Ordinal);
        Assert.Contains("https://sqlite.org/wal.html", refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("3.51.3")]
    [InlineData("3.53.4")]
    [InlineData("3.100.0")]
    [InlineData("4.0.0")]
    public void ALaterLibrary_WillDo(string version) => Assert.Null(SqliteLibrary.Refusal(version));

    [Fact]
    public void TheLibraryThatTheBuildBringsAlong_WillDo() => Assert.Null(SqliteLibrary.Refusal(SqliteLibrary.LoadedVersion));
}
