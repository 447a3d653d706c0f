using Gateway.Tests.Support;

namespace Gateway.Tests.EndToEnd;

/// <summary>A PostgreSQL server, which keeps what it acknowledged.</summary>
public sealed class FaultyPostgres : FaultyStore
{
    private readonly PostgresProcess _server = new();

    public override string Endpoint => _server.Endpoint;

    public override object Section(string endpoint) => GatewayConfig.Postgres(_server.ConnectionStringVia(endpoint));

    public override Task StartAsync() => _server.StartAsync();

    public override Task StopAsync() => _server.StopAsync();

    public override Task PauseAsync() => _server.PauseAsync();

    public override Task ResumeAsync() => _server.ResumeAsync();

    public override async Task<long> CountRecordsAsync() => (long)(await _server.QueryAsync("SELECT count(*) FROM idempotency_records WHERE expires_at > now()"))!;

    public override Task GiveAwayAsync() => _server.QueryAsync("UPDATE idempotency_records SET token = gen_random_uuid(), version = nextval('idempotency_version')");

    public override async Task<DateTimeOffset> ReadClockAsync() => (DateTime)(await _server.QueryAsync("SELECT clock_timestamp()"))!;

    public override ValueTask DisposeAsync() => _server.DisposeAsync();

    internal override void LiveBy(FakeClock clock) => _server.Environment = clock.Environment;
}
