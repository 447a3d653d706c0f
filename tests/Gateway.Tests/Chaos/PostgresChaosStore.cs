using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;

namespace Gateway.Tests.Chaos;

/// <summary>One PostgreSQL server: it is paused, killed and started again, and its connections are ended.</summary>
internal sealed class PostgresChaosStore : ChaosStore
{
    private PostgresServer? _server;

    public override string Endpoint => Server.Endpoint;

    private PostgresServer Server => _server!;

    public override async Task StartAsync() => _server = await PostgresServer.StartOwnAsync();

    public override object Section(string? endpoint) => GatewayConfig.Postgres(Server.ConnectionStringVia(endpoint!));

    public override Fault Draw(Dice dice) => dice.Next(10) switch
    {
        < 4 => new Fault("postgres-pause", "postgres", dice.Milliseconds(200, 3000), Server.PauseAsync, Server.ResumeAsync),
        < 7 => new Fault("postgres-kill", "postgres", dice.Milliseconds(50, 2000), Server.StopAsync, Server.StartAsync),
        _ => new Fault("postgres-terminate", "postgres", dice.Milliseconds(1, 50), () => Server.TerminateConnectionsAsync(), () => Task.CompletedTask),
    };

    public override async Task<byte[]> SecretAsync() => (byte[])(await Server.QueryAsync("SELECT value FROM idempotency_secret"))!;

    /// <summary>The server's log is searched as well.</summary>
    public override async Task<(string Content, IReadOnlyList<string> Wrong)> DumpAsync(IReadOnlyList<GatewayNode> nodes)
    {
        var content = await PostgresQuery.DumpAsync(Server.ConnectionString);
        var kept = await Server.QueryAsync("SELECT count(*) FROM idempotency_records WHERE expires_at > now() + interval '25 hours'");
        return ($"{content}\n{string.Join('\n', Server.Output)}", kept is 0L ? [] : [$"the store keeps for longer than any retention: {kept} records"]);
    }

    public override async ValueTask DisposeAsync()
    {
        await (_server?.DisposeAsync() ?? default);
        await base.DisposeAsync();
    }
}
