using Gateway.Tests.Support;
using Idempotency.Storage;
using Idempotency.Storage.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace Gateway.Tests.Storage;

public sealed class EmbeddedStoreTests : StoreContractTests
{
    private readonly string _folder = Directory.CreateTempSubdirectory("embedded-store").FullName;
    private readonly FakeTimeProvider _time = new();

    protected override TimeSpan ShortLease => TimeSpan.FromSeconds(30);

    protected override int HistoryCount => 150;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Records_SurviveReopening()
    {
        var claim = NewClaim();
        await Store.ClaimAsync(claim, default);
        await Store.SettleAsync(claim, new byte[] { 1, 2 }, default);
        await Store.DisposeAsync();

        await using var reopened = Open();

        Assert.Equal([1, 2], (await reopened.ClaimAsync(Duplicate(claim), default)).Answer.ToArray());
    }

    [Fact]
    public async Task Sweep_DeletesWhatIsOver_AndNothingElse()
    {
        var kept = NewClaim();
        await Store.ClaimAsync(kept, default);
        for (var i = 0; i < 500; i++)
        {
            await Store.ClaimAsync(NewClaim() with { Retention = TimeSpan.FromMinutes(1) }, default);
        }

        _time.Advance(TimeSpan.FromMinutes(2));

        await Eventually.TrueAsync(async () => await CountRowsAsync() == 1, "the sweep left one row");
        Assert.Equal(ClaimState.Uncertain, (await Store.ClaimAsync(Duplicate(kept), default)).State);
    }

    [Fact]
    public async Task AFileThatCannotBeOpened_IsUnavailable_AndRecoversWithoutRestart()
    {
        var path = Path.Combine(_folder, "folder", "x.db");
        File.WriteAllText(Path.Combine(_folder, "folder"), "in the way");
        await using var store = new EmbeddedStore(Settings(path), TimeProvider.System, NullLogger<EmbeddedStore>.Instance);
        await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(NewClaim(), default));

        File.Delete(Path.Combine(_folder, "folder"));

        Assert.Equal(ClaimState.Claimed, (await store.ClaimAsync(NewClaim(), default)).State);
    }

    [Fact]
    public async Task AFileOfANewerGateway_IsLeftAlone()
    {
        var path = Path.Combine(_folder, "newer.db");
        await ExecuteAsync(path, "PRAGMA user_version = 99");
        await using var store = new EmbeddedStore(Settings(path), TimeProvider.System, NullLogger<EmbeddedStore>.Instance);

        var e = await Assert.ThrowsAsync<StoreUnavailableException>(async () => await store.ClaimAsync(NewClaim(), default));

        Assert.Contains("version 99", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AFileOfVersion1_IsBroughtUpToDate_WithItsRecords()
    {
        var path = Path.Combine(_folder, "old.db");
        var (settled, uncertain) = (NewClaim(), NewClaim());
        var end = _time.GetUtcNow().AddHours(1).ToUnixTimeMilliseconds();
        await ExecuteAsync(path, $"""
            CREATE TABLE records (
              id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
              state       INTEGER NOT NULL CHECK (state IN (1, 2, 3)),
              token       BLOB    NOT NULL CHECK (length(token) = 16),
              fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 33),
              lease_until INTEGER NOT NULL,
              expires_at  INTEGER NOT NULL CHECK (expires_at >= lease_until),
              answer      BLOB    CHECK ((answer IS NOT NULL) = (state = 3))
            ) STRICT;
            CREATE INDEX records_by_expiry ON records (expires_at);
            CREATE TABLE secrets (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL) STRICT;
            INSERT INTO secrets VALUES (1, x'{new string('5', 64)}');
            INSERT INTO records VALUES ({RowOf(settled, 3)}, 1, {end}, x'0708'), ({RowOf(uncertain, 1)}, 1, {end}, NULL);
            PRAGMA user_version = 1;
            """);

        await using var store = new EmbeddedStore(Settings(path), _time, NullLogger<EmbeddedStore>.Instance);

        Assert.Equal([7, 8], (await store.ClaimAsync(Duplicate(settled), default)).Answer.ToArray());
        Assert.Equal(2, (await store.ClaimAsync(Duplicate(uncertain) with { TakeOver = 1 }, default)).Attempt);
        Assert.Equal(0x55, (await store.GetSecretAsync(default))[0]);
        Assert.Equal(2L, await ExecuteAsync(path, "PRAGMA user_version"));

        static string RowOf(ClaimRequest claim, int state) =>
            $"x'{claim.Id}', {state}, x'{Convert.ToHexString(claim.Token.ToArray())}', x'{Convert.ToHexString(claim.Fingerprint.ToArray())}'";
    }

    /// <summary>All its processes have the clock of their machine.</summary>
    protected override Task<IIdempotencyStore> OpenAsync(TimeProvider clock) => Task.FromResult<IIdempotencyStore>(Open());

    protected override Task WaitAsync(TimeSpan time)
    {
        _time.Advance(time);
        return Task.CompletedTask;
    }

    private EmbeddedStore Open() =>
        new EmbeddedStore(Settings(Path.Combine(_folder, "store.db")), _time, NullLogger<EmbeddedStore>.Instance);

    private static StoreSettings Settings(string path) => new() { Timeout = TimeSpan.FromSeconds(5), Embedded = new() { Path = path } };

    private async Task<long> CountRowsAsync() => (long)(await ExecuteAsync(Path.Combine(_folder, "store.db"), "SELECT count(*) FROM records"))!;

    private static async Task<object?> ExecuteAsync(string path, string sql)
    {
        await using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
#pragma warning disable CA2100 // constants of this file
        command.CommandText = sql;
#pragma warning restore CA2100
        return await command.ExecuteScalarAsync();
    }
}
