using System.Text;
using System.Text.Json;
using DemoBackend;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Idempotency.Yarp;

namespace Gateway.Tests.Demo;

/// <summary>
/// What becomes of one request and its retry when something breaks, for each kind of backend and policy: a gateway process in front of a demo
/// backend, and a network between them. Makes the table of docs/recovery.md.
/// </summary>
internal sealed class RecoveryTable : IAsyncDisposable
{
    static readonly TimeSpan Lease = TimeSpan.FromSeconds(2);
    static readonly TimeSpan BackendTimeout = TimeSpan.FromSeconds(3);

    /// <summary>The columns: what the backend is, and the policy; a header chooses the route.</summary>
    static readonly (string Name, string Path, string Policy)[] Columns =
    [
        ("checks keys, `Retry`", "/accounts", "retry"),
        ("unmodified, `Refuse`", "/legacy/accounts", "refuse"),
        ("unmodified, `Probe`", "/legacy/accounts", "probe"),
        ("unmodified, `Retry`: **wrong**", "/legacy/accounts", "wrong"),
    ];

    readonly HttpClient _client = KeyedRequests.NewClient();
    readonly DemoHost _backend;
    readonly TcpProxy _link;
    readonly GatewayProcess _gateway;
    int _row;

    RecoveryTable(DemoHost backend, TcpProxy link, GatewayProcess gateway)
    {
        _backend = backend;
        _link = link;
        _gateway = gateway;
    }

    public static async Task<RecoveryTable> StartAsync(DemoDatabase database)
    {
        var backend = await DemoHost.StartAsync(database, "--completer-interval", "0");
        var link = TcpProxy.Start(new Uri(backend.Url).Authority);
        return new RecoveryTable(backend, link, await GatewayProcess.StartAsync(Configuration($"http://{link.Endpoint}")));
    }

    /// <summary>As Markdown.</summary>
    public async Task<string> MakeAsync()
    {
        var table = new StringBuilder();
        Append(table, ["what happened to the first try", .. Columns.Select(column => column.Name)]);
        Append(table, Enumerable.Repeat("---", Columns.Length + 1));
        // First, while no connection is open that could take a request and then break.
        await AppendAsync(table, "it never leaves the gateway: no connection to the backend", broken: _link.Refuse);
        await AppendAsync(table, "nothing; it is sent again all the same");
        await AppendAsync(table, "it is lost on its way to the backend", broken: () => _link.BlackHole(TcpDirections.ToServer), mended: _link.Cut);
        await AppendAsync(table, "the backend does it, and the answer is lost", header: ("X-Demo-Fail", "after"));
        await AppendAsync(table, "the backend breaks off half-way: the registry does not answer", header: ("X-Demo-Fail-Registry", "before"));
        await AppendAsync(table, "the gateway is killed before it has the answer", broken: () => _link.BlackHole(TcpDirections.ToClient), meanwhile: KillTheGatewayAsync);
        return table.ToString();
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.DisposeAsync();
        await _link.DisposeAsync();
        await _backend.DisposeAsync();
        _client.Dispose();
    }

    static string Configuration(string backend) => JsonSerializer.Serialize(new
    {
        Store = GatewayConfig.Embedded,
        Idempotency = new
        {
            Policies = new Dictionary<string, object>
            {
                ["retry"] = new { Lease, ForwardKey = "Derived", Uncertain = new { Retries = "Retry" } },
                ["refuse"] = new { Lease },
                ["probe"] = new { Lease, Uncertain = new { Retries = "Probe", Probe = new { Path = "/legacy/accounts?reference={body:/reference}", Match = new { Json = new Dictionary<string, string> { ["/reference"] = "{body:/reference}" } }, AbsentAfter = "00:00:00" } } },
                ["wrong"] = new { Lease, Uncertain = new { Retries = "Retry" } },
            },
        },
        ReverseProxy = new
        {
            Routes = Columns.ToDictionary(column => column.Policy, column => new
            {
                ClusterId = "bank",
                Match = new { column.Path, Headers = (object[])[new { Name = "X-Column", Values = (string[])[column.Policy] }] },
                Metadata = new { Idempotency = column.Policy },
            }),
            Clusters = new
            {
                bank = new { HttpRequest = new { ActivityTimeout = BackendTimeout }, Destinations = new { one = new { Address = backend } } },
            },
        },
    });

    static void Append(StringBuilder table, IEnumerable<string> cells) => table.AppendLine($"| {string.Join(" | ", cells)} |");

    static string ReferenceOf(string policy, int row) => $"{policy}-{row}";

    static string Describe(Answer? answer) => answer switch
    {
        null => "no answer",
        { IsReplay: true } => $"{answer.Status} replayed",
        { ProblemType: { } problem } when Problem.All.Any(ours => ours.Slug == problem) => $"{answer.Status} `{problem}`",
        _ => $"{answer.Status}",
    };

    /// <summary>One row: all columns are sent the same at the same time, and again once all is whole.</summary>
    /// <param name="table">Where to append it.</param>
    /// <param name="fault">What it says in the first column.</param>
    /// <param name="header">Of the first try only.</param>
    /// <param name="broken">Done before the first try.</param>
    /// <param name="meanwhile">Done while the first try runs.</param>
    /// <param name="mended">Done after it, before the link heals.</param>
    async Task AppendAsync(
        StringBuilder table, string fault, (string Name, string Value)? header = null, Action? broken = null, Func<int, Task>? meanwhile = null, Action? mended = null)
    {
        var row = ++_row;
        broken?.Invoke();
        var first = Columns.Select(column => TrySendAsync(column, row, header)).ToArray();
        await (meanwhile?.Invoke(row) ?? Task.CompletedTask);
        await Task.WhenAll(first);
        mended?.Invoke();
        _link.Heal();
        var cells = await Task.WhenAll(Columns.Select(async (column, i) =>
            $"{Describe(await first[i])}, then {Describe(await RetryAsync(column, row))}; {await CountAsync(ReferenceOf(column.Policy, row))}"));
        Append(table, [fault, .. cells]);
    }

    async Task KillTheGatewayAsync(int row)
    {
        foreach (var column in Columns)
            await Eventually.TrueAsync(async () => await CountAsync(ReferenceOf(column.Policy, row)) == "1/1/1", "the backend has done it");
        await _gateway.KillAsync();
        await _gateway.StartAgainAsync();
    }

    /// <returns>Null when the connection broke.</returns>
    async Task<Answer?> TrySendAsync((string Name, string Path, string Policy) column, int row, (string Name, string Value)? header)
    {
        var reference = ReferenceOf(column.Policy, row);
        var headers = new List<KeyValuePair<string, string>> { new("X-Column", column.Policy), new("Host", "api.example") };
        if (header is var (name, value))
            headers.Add(new(name, value));
        try
        {
            return await KeyedRequests.PostAsync(
                _client, _gateway.Url + column.Path, reference, $$"""{"reference":"{{reference}}","owner":"Ann","deposit":100}""", headers);
        }
        catch (HttpRequestException)
        {
            return null;
        }
    }

    /// <summary>Until the answer is another than "in progress", which it must be soon after the lease.</summary>
    async Task<Answer> RetryAsync((string Name, string Path, string Policy) column, int row)
    {
        Answer? answer = null;
        await Eventually.TrueAsync(
            async () => (answer = await TrySendAsync(column, row, header: null)) is { ProblemType: not "in-progress" }, "the retry is answered");
        return answer!;
    }

    /// <summary>Accounts and deposits at core banking, and entries at the registry.</summary>
    async Task<string> CountAsync(string reference)
    {
        await using var connection = await _backend.Database.OpenAsync();
        await using var count = connection.Command("""
            SELECT (SELECT count(*) FROM core_accounts WHERE reference = @reference),
                   (SELECT count(*) FROM core_deposits WHERE reference = @reference),
                   (SELECT count(*) FROM registry_entries WHERE reference = @reference)
            """, ("@reference", reference));
        await using var row = await count.ExecuteReaderAsync();
        await row.ReadAsync();
        return $"{row.GetInt64(0)}/{row.GetInt64(1)}/{row.GetInt64(2)}";
    }
}
