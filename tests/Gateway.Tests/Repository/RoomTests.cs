using System.Text.RegularExpressions;
using Xunit;

namespace Gateway.Tests.Repository;

/// <summary>
/// What the compiler does not say of folders inside a project: namespaces, and that what others are built on does not lean on them. Between
/// projects the compiler keeps the order.
/// </summary>
public sealed partial class RoomTests
{
    private const string Library = "src/Idempotency.Yarp";

    /// <summary>Rooms of the library that the rest is built on, and what of the others they may use. The rest shares one namespace.</summary>
    private static readonly Dictionary<string, string[]> Foundations = new()
    {
        ["Policies"] = [],
        ["Forwarding"] = ["Policies"],
        ["Configuration"] = ["Policies", "Forwarding"],
    };

    [Fact]
    public void Namespaces_FollowTheFolders() =>
        Assert.All(FilesOf("src/Gateway").Concat(FilesOf(Library).Where(file => !file.EndsWith("Extensions.cs", StringComparison.Ordinal))), file =>
        {
            var room = RoomOf(file);
            var project = file.Split('/')[1];
            var isOwn = room.Length > 0 && (project == "Gateway" || Foundations.ContainsKey(room));
            Assert.Equal(isOwn ? $"{project}.{room}" : project, Namespace.Match(RepositoryFiles.Read(file)) is { Success: true } match ? match.Groups[1].Value : project);
        });

    [Fact]
    public void Foundations_UseNothingThatStandsOnThem()
    {
        var types = FilesOf(Library).SelectMany(file => TypeName.Matches(RepositoryFiles.Read(file)).Select(match => (Room: RoomOf(file), Name: match.Groups[1].Value))).Distinct().ToList();
        var violations = from file in FilesOf(Library)
                         let room = RoomOf(file)
                         where Foundations.ContainsKey(room)
                         let code = Comments.Replace(RepositoryFiles.Read(file), " ")
                         from type in types
                         where type.Room != room && !Foundations[room].Contains(type.Room) && !types.Contains((room, type.Name))
                         where Regex.IsMatch(code, $@"(?<![\w.""]){type.Name}\b(?!"")")
                         select $"{file} uses {type.Name} of {type.Room}";

        Assert.Empty(violations);
        Assert.Contains(types, type => type is { Room: "Execution", Name: "ForwardOutcome" }); // they were found at all
    }

    [Fact]
    public void AFirstRequestsWay_CanBeReadInOneSitting()
    {
        string[] way = ["IdempotencyMiddleware.cs", "Decider.cs", "Claims/KeyClaimer.cs", "Execution/ForwardRunner.cs", "Execution/ClaimedForward.cs", "Execution/Settlement.cs"];

        var lines = way.Sum(file => RepositoryFiles.Read($"{Library}/{file}").Split('\n').Count(line => !string.IsNullOrWhiteSpace(line) && !line.StartsWith("using ", StringComparison.Ordinal)));

        Assert.InRange(lines, 100, 600);
        Assert.All(way, file => Assert.Contains($"`{file}`", RepositoryFiles.Read("ARCHITECTURE.md"), StringComparison.Ordinal));
    }

    [Fact]
    public void OpenTelemetry_IsKnownWhereItIsSetUp() =>
        Assert.All(FilesOf("src/Gateway").Where(file => RoomOf(file) != "Telemetry"), file => Assert.DoesNotContain("using OpenTelemetry", RepositoryFiles.Read(file), StringComparison.Ordinal));

    private static IEnumerable<string> FilesOf(string project) => RepositoryFiles.Find(project, "*.cs");

    /// <summary>Empty for the files beside the project's own.</summary>
    private static string RoomOf(string file) => string.Join('.', file.Split('/')[2..^1]);

    [GeneratedRegex(@"^namespace ([\w.]+)", RegexOptions.Multiline)]
    private static partial Regex Namespace { get; }

    [GeneratedRegex(@"^internal (?:\w+ )*?(?:class|record struct|record|struct|enum|interface|delegate \w+) (\w+)", RegexOptions.Multiline)]
    private static partial Regex TypeName { get; }

    /// <summary>Strings too.</summary>
    [GeneratedRegex(""""
        //[^\n]*|""".*?"""|"(?:[^"\\\n]|\\.)*"
        """", RegexOptions.Singleline)]
    private static partial Regex Comments { get; }
}
