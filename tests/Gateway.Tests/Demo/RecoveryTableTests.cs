using System.Globalization;
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

        AssertPromised(table);
        var text = RepositoryFiles.Read(Document);
        var (begin, end) = (text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, text.IndexOf(End, StringComparison.Ordinal));
        if (Environment.GetEnvironmentVariable("RECOVERY_TABLE") == "write")
            await File.WriteAllTextAsync(RepositoryFiles.PathOf(Document), text[..begin] + table + text[end..]);
        else
            Assert.Equal(text[begin..end], table);
    }

    /// <summary>Whatever is written: never more than one of anything under the right policy, and one of each where the backend checks keys.</summary>
    static void AssertPromised(string table)
    {
        foreach (var row in table.Split('\n', StringSplitOptions.RemoveEmptyEntries).Skip(2))
        {
            var counts = row.Split('|')[2..5].Select(cell => cell[(cell.LastIndexOf(';') + 1)..].Trim()).ToList();
            Assert.Equal("1/1/1", counts[0]);
            Assert.All(counts, count => Assert.All(count.Split('/'), number => Assert.InRange(int.Parse(number, CultureInfo.InvariantCulture), 0, 1)));
        }
    }
}
