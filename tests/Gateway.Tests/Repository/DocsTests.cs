using System.Text.RegularExpressions;
using Gateway.Configuration;
using Idempotency.Storage;
using Idempotency.Yarp;
using Idempotency.Yarp.Configuration;
using Idempotency.Yarp.Policies;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>The documents say what the code does: every setting, problem, header value, log event and metric, and no missing file.</summary>
public sealed partial class DocsTests
{
    private const string Configuration = "docs/configuration.md";
    private const string Contract = "docs/http-contract.md";
    private const string Operations = "docs/operations.md";

    /// <summary>Sections of the configuration document that list settings by their whole path.</summary>
    private static readonly string[] SettingSections = ["The process", "Proxies before the gateway", "Store", "Idempotency", "Admin", "Authentication"];

    [Fact]
    public void ConfigurationDocument_ListsTheSettingsThatTheCodeReads() =>
        Assert.Equal(KnownSettings.Supported.Order(), DocumentedSettings().Select(row => row.Path).Order());

    [Fact]
    public void ConfigurationDocument_GivesTheDefaultsOfTheSchema() =>
        Assert.Equal(
            RoutesSchema.Settings().Select(setting => (setting.Path, setting.DefaultText)).Order(),
            DocumentedSettings().Order());

    [Fact]
    public void ConfigurationDocument_NamesTheFieldsThatAreAlwaysFingerprinted() =>
        Assert.Equal(
            RequestFingerprint.AlwaysHashed.Order(),
            Documents.Rows(Documents.Section(Configuration, "Always part of the fingerprint")).Select(row => row.First).Order());

    [Fact]
    public void ContractDocument_ListsEveryProblemWithItsStatus() =>
        Assert.Equal(
            Problem.All.Select(problem => (problem.Slug, problem.Status)).Order(),
            Documents.Rows(Documents.Section(Contract, "Problem types")).Select(row => (row.First, int.Parse(row.Second[..3], null))).Order());

    [Fact]
    public void ContractDocument_ListsEveryIdempotencyStatus() =>
        Assert.Equal(StatusValues(), Documents.Rows(Documents.Section(Contract, "Idempotency-Status")).Select(row => row.First).Order());

    [Fact]
    public void ContractDocument_ListsEveryReasonWhyAnAnswerIsNotKept() =>
        Assert.Equal(
            Enum.GetNames<TombstoneReason>().Except([nameof(TombstoneReason.None)]).Concat([nameof(BodyFetch.Gone), nameof(BodyFetch.Altered)]).Order(),
            Documents.Rows(Documents.Section(Contract, "Answers that are not kept")).Select(row => row.First).Order());

    [Fact]
    public void WellKnownPage_ExplainsEveryProblemAndEveryIdempotencyStatus()
    {
        var file = RepositoryFiles.PathOf("config/routes.json");
        var settings = SettingsLoader.Load(file, new ConfigurationErrors())!;
        var page = Assert.IsType<ContentHttpResult>(WellKnownPage.Get(new DefaultHttpContext().Request, settings.Routes, new PolicyBook(settings.Policies))).ResponseContent!;

        Assert.All(Problem.All, problem => Assert.Contains($"id=\"{problem.Slug}\"", page, StringComparison.Ordinal));
        Assert.All(StatusValues(), value => Assert.Contains($"Idempotency-Status: {value}", page, StringComparison.Ordinal));
    }

    [Fact]
    public void OperationsDocument_ListsEveryLogEventWithItsLevel() =>
        Assert.Equal(
            LogEvents.All.Select(log => (log.Id, log.Level)).Order(),
            Documents.Rows(Documents.Section(Operations, "Log events")).Select(row => (int.Parse(row.First, null), row.Second)).Order());

    [Fact]
    public void LogEvents_HaveIdsOfTheirOwn_InTheRangeOfTheirClass()
    {
        Assert.Equal(LogEvents.All.Select(log => log.Id).Distinct(), LogEvents.All.Select(log => log.Id));
        Assert.All(LogEvents.All, log => Assert.InRange(log.Id, log.From, log.To));
    }

    [Fact]
    public void OperationsDocument_ListsEveryMetricWithItsTags()
    {
        var section = Documents.Section(Operations, "Metrics");
        var sources = RepositoryFiles.Find("src", "*.cs").Select(RepositoryFiles.Read).ToList();
        var metrics = sources.SelectMany(source => Instrument.Matches(source)).Select(match => match.Groups[1].Value).ToList();
        var tags = sources.SelectMany(source => Tag.Matches(source)).Select(match => match.Groups[1].Value).Distinct();

        Assert.NotEmpty(metrics);
        Assert.Empty(metrics.Except(Documents.Rows(section).Select(row => row.First)));
        Assert.All(tags, tag => Assert.Contains($"`{tag}`", section, StringComparison.Ordinal));
    }

    [Fact]
    public void Readme_GivesThePromiseInItsWords()
    {
        const string Promise =
            "While the store keeps acknowledged writes, a keyed request is forwarded at most once per retention window. If the gateway or a "
            + "connection dies between forwarding and recording, the outcome is uncertain: the gateway says so and, by default, never repeats "
            + "the request by itself.";

        var text = Whitespace.Replace(RepositoryFiles.Read("README.md").Replace("\n> ", " ", StringComparison.Ordinal), " ");
        Assert.Contains(Promise, text, StringComparison.Ordinal);
    }

    [Fact]
    public void NoFile_PromisesMoreThanAtMostOnce() =>
        Assert.All(
            ((string[])["src", "config", "deploy"]).SelectMany(folder => RepositoryFiles.Find(folder, "*.*")).Concat(Documents.All),
            file => Assert.False(TooMuch.IsMatch(RepositoryFiles.Read(file)), file));

    [Fact]
    public void FilesAndFolders_ThatDocumentsName_Exist()
    {
        var missing = from document in Documents.All
                      from Match match in NamedFile.Matches(RepositoryFiles.Read(document))
                      let name = match.Groups[1].Value
                      where !Exists(name) && !Exists($"src/{name}") && !Exists($"src/Gateway/{name}") && !Exists($"src/Idempotency.Yarp/{name}") && !Exists($"src/DemoBackend/{name}")
                      select $"{document}: {name}";

        Assert.Empty(missing);
    }

    [Fact]
    public void Links_BetweenDocuments_LeadSomewhere()
    {
        var broken = from document in Documents.All
                     from Match match in RelativeLink.Matches(RepositoryFiles.Read(document))
                     let target = Path.Combine(Path.GetDirectoryName(document)!, match.Groups[1].Value)
                     where !Exists(target)
                     select $"{document}: {target}";

        Assert.Empty(broken);
    }

    [Fact]
    public void Architecture_NamesEveryFolder()
    {
        var text = RepositoryFiles.Read("ARCHITECTURE.md");
        var folders = RepositoryFiles.Find("src/Gateway", "*.cs").Concat(RepositoryFiles.Find("src/Idempotency.Yarp", "*.cs")).Select(file => Path.GetFileName(Path.GetDirectoryName(file)!)).Distinct();

        Assert.All(folders, folder => Assert.Contains($"{folder}/", text, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("README.md", 150)]
    [InlineData("ARCHITECTURE.md", 150)]
    public void Document_StaysShort(string document, int lines) => Assert.InRange(File.ReadLines(RepositoryFiles.PathOf(document)).Count(), 1, lines);

    [Fact]
    public void SourceFiles_HaveAtMost300Lines() =>
        Assert.All(RepositoryFiles.Find("src", "*.cs"), file => Assert.True(File.ReadLines(RepositoryFiles.PathOf(file)).Count() <= 300, file));

    private static IEnumerable<(string Path, string Default)> DocumentedSettings()
    {
        var policy = Documents.Rows(Documents.Section(Configuration, "A policy"))
            .Select(row => ($"Idempotency:Policies:NAME:{row.First}", row.Second));
        return SettingSections.SelectMany(heading => Documents.Rows(Documents.Section(Configuration, heading)))
            .Concat(policy);
    }

    private static IEnumerable<string> StatusValues() =>
        typeof(IdempotencyStatus).GetFields().Select(field => (string)field.GetRawConstantValue()!).Order();

    private static bool Exists(string path) => File.Exists(RepositoryFiles.PathOf(path)) || Directory.Exists(RepositoryFiles.PathOf(path));

    [GeneratedRegex(@"Create\w+<\w+>\(\s*""([^""]+)""")]
    private static partial Regex Instrument { get; }

    [GeneratedRegex(@"KeyValuePair<string, object\?>\(""([^""]+)""")]
    private static partial Regex Tag { get; }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace { get; }

    /// <summary>The word that no proxy in front of an unmodified backend may use.</summary>
    [GeneratedRegex(@"exactly[\s-]+once", RegexOptions.IgnoreCase)]
    private static partial Regex TooMuch { get; }

    /// <summary>A path in backticks that ends like a file or a folder of the repository.</summary>
    [GeneratedRegex(@"`((?:[\w.-]+/)*[\w.-]+(?:\.(?:cs|lua|sql|html|sh|md|json|props|csproj|sln|yaml|txt)|/))`")]
    private static partial Regex NamedFile { get; }

    [GeneratedRegex(@"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")]
    private static partial Regex RelativeLink { get; }
}
