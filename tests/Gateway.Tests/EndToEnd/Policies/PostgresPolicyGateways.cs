using Gateway.Tests.Storage;
using Gateway.Tests.Support;
using Idempotency.Storage;

namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>Two gateways on a PostgreSQL server of their own.</summary>
public class PostgresPolicyGateways : PolicyGateways
{
    private PostgresServer? _postgres;

    public PostgresServer Postgres => _postgres!;

    protected override int Count => 2;

    protected override bool IsUsable => PostgresInstallation.IsUsable(ownServer: true);

    protected override object StoreSection => GatewayConfig.Postgres(Postgres.ConnectionString);

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        await (_postgres?.DisposeAsync() ?? default);
    }

    public override async Task<IAsyncDisposable> SuspendStoreAsync()
    {
        await Postgres.PauseAsync();
        return new Pause(Postgres);
    }

    public override async Task<IReadOnlyDictionary<string, byte[]>> ReadAnswersAsync()
    {
        var answers = await Postgres.QueryAsync(
            "SELECT array_agg(encode(id, 'hex') || ' ' || encode(answer, 'hex')) FROM idempotency_records WHERE answer IS NOT NULL") as string[] ?? [];
        return answers.Select(row => row.Split(' ')).ToDictionary(row => row[0], row => Convert.FromHexString(row[1]));
    }

    public override Task WriteAnswerAsync(string record, byte[] answer) => Postgres.QueryAsync(
        $"UPDATE idempotency_records SET answer = '\\x{Convert.ToHexString(answer)}' WHERE encode(id, 'hex') = '{record}'");

    public override Task<string> ReadAllAsync() => PostgresQuery.DumpAsync(Postgres.ConnectionString);

    internal override Task<IIdempotencyStore> OpenStoreAsync() => Task.FromResult<IIdempotencyStore>(PostgresStores.Open(Postgres.ConnectionString));

    protected virtual Task<PostgresServer> StartServerAsync() => PostgresServer.StartOwnAsync();

    protected override async Task StartStoreAsync() => _postgres = await StartServerAsync();

    private sealed class Pause(PostgresServer postgres) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync() => await postgres.ResumeAsync();
    }
}
