using Gateway.Tests.EndToEnd;
using Gateway.Tests.Repository;
using Xunit;

namespace Gateway.Tests.Demo;

/// <summary>The table of docs/recovery.md is what happens; ./recovery.sh writes it anew.</summary>
[Collection(LoadCollection.Name)]
public sealed class RecoveryTableTests
{
    const string Document = "docs/recovery.md";
    const string Begin = "<!-- made by ./recovery.sh -->\n";
    const string End = "<!-- end -->\n";

    [Fact]
    public async Task TheTableOfTheDocument_IsWhatHappens()
    {
        await using var database = await DemoDatabase.CreateAsync(DatabaseKind.Sqlite);
        await using var made = await RecoveryTable.StartAsync(database);

        var table = await made.MakeAsync();

        var text = RepositoryFiles.Read(Document);
        var (begin, end) = (text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, text.IndexOf(End, StringComparison.Ordinal));
        if (Environment.GetEnvironmentVariable("RECOVERY_TABLE") == "write")
            await File.WriteAllTextAsync(RepositoryFiles.PathOf(Document), text[..begin] + table + text[end..]);
        else
            Assert.Equal(text[begin..end], table);
    }
}
