using System.Text.RegularExpressions;

namespace Gateway.Tests.Repository;

/// <summary>The parts of the documents that tests compare with the code.</summary>
internal static partial class Documents
{
    /// <summary>Every document that people read, relative to the root.</summary>
    public static IReadOnlyList<string> All { get; } =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", .. RepositoryFiles.Find("docs", "*.md")];

    /// <summary>The text below a heading of the second level, up to the next one.</summary>
    public static string Section(string document, string heading)
    {
        var text = RepositoryFiles.Read(document);
        var start = text.IndexOf($"\n## {heading}\n", StringComparison.Ordinal);
        if (start < 0)
        {
            throw new InvalidOperationException($"{document} has no section '{heading}'.");
        }

        var end = text.IndexOf("\n## ", start + 1, StringComparison.Ordinal);
        return end < 0 ? text[start..] : text[start..end];
    }

    /// <summary>First and second cell, without backticks, of each row of the tables in a text; heads are left out.</summary>
    public static IEnumerable<(string First, string Second)> Rows(string text) =>
        TableRow.Matches(text).Select(row => (row.Groups[1].Value.Trim('`'), row.Groups[2].Value.Trim('`')));

    /// <summary>What stands between the fences of code blocks in one language.</summary>
    public static IEnumerable<string> CodeBlocks(string document, string language) =>
        Regex.Matches(RepositoryFiles.Read(document), $"^```{language}\n(.*?)^```", RegexOptions.Singleline | RegexOptions.Multiline)
            .Select(block => block.Groups[1].Value);

    /// <summary>Rows whose first cell is code or a number.</summary>
    [GeneratedRegex(@"^\| (`[^`]+`|\d+) \| ([^|]*?) \|", RegexOptions.Multiline)]
    private static partial Regex TableRow { get; }
}
