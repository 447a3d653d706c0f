using System.Text;
using Idempotency.Storage;
using Idempotency.Storage.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>One gateway on the embedded store; those that a test starts beside it share its file.</summary>
public sealed class EmbeddedPolicyGateways : PolicyGateways
{
    private readonly string _folder = Directory.CreateTempSubdirectory("policy-gateways-").FullName;

    protected override object StoreSection => new { Kind = "Embedded", Embedded = new { Path = File } };

    private string File => Path.Combine(_folder, "idempotency.db");

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    public override async Task<IAsyncDisposable> SuspendStoreAsync()
    {
        // Whoever holds the file's write lock keeps all others from writing; disposing rolls back.
        var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "BEGIN IMMEDIATE";
        await command.ExecuteNonQueryAsync();
        return connection;
    }

    public override async Task<IReadOnlyDictionary<string, byte[]>> ReadAnswersAsync()
    {
        await using var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT hex(id), answer FROM records WHERE answer IS NOT NULL";
        await using var rows = await command.ExecuteReaderAsync();
        var answers = new Dictionary<string, byte[]>();
        while (await rows.ReadAsync())
        {
            answers[rows.GetString(0)] = rows.GetFieldValue<byte[]>(1);
        }

        return answers;
    }

    public override async Task WriteAnswerAsync(string record, byte[] answer)
    {
        await using var connection = await ConnectAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "UPDATE records SET answer = $answer WHERE hex(id) = $id";
        command.Parameters.AddWithValue("$answer", answer);
        command.Parameters.AddWithValue("$id", record);
        await command.ExecuteNonQueryAsync();
    }

    public override async Task<string> ReadAllAsync()
    {
        var all = new StringBuilder();
        foreach (var file in Directory.GetFiles(_folder))
        {
            await using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var reader = new StreamReader(stream, Encoding.Latin1);
            all.Append(await reader.ReadToEndAsync());
        }

        return all.ToString();
    }

    internal override Task<IIdempotencyStore> OpenStoreAsync() => Task.FromResult<IIdempotencyStore>(new EmbeddedStore(
        new StoreSettings { Embedded = new() { Path = File } }, TimeProvider.System, NullLogger<EmbeddedStore>.Instance));

    protected override Task StartStoreAsync() => Task.CompletedTask;

    private async Task<SqliteConnection> ConnectAsync()
    {
        var connection = new SqliteConnection($"Data Source={File};Pooling=False");
        await connection.OpenAsync();
        return connection;
    }
}
