using Idempotency.Storage;
using Idempotency.Storage.Redis;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Configuration;
using Npgsql;
using StackExchange.Redis;

namespace Gateway.Tests.Faults;

/// <summary>A store, and what a gateway would do to it that breaks one of its rules.</summary>
internal class BrokenStore(IIdempotencyStore store) : IIdempotencyStore
{
    public event Action<RecordId>? Changed
    {
        add => store.Changed += value;
        remove => store.Changed -= value;
    }

    public event Action<RecordId>? Forgotten
    {
        add => store.Forgotten += value;
        remove => store.Forgotten -= value;
    }

    public string Description => store.Description;

    public static BrokenStore Create(string defect, IIdempotencyStore store, IConfiguration configuration) => defect switch
    {
        "release-on-any-error" => new ReleasingOnAnyError(store),
        "answer-before-settle" => new AnsweringBeforeSettling(store),
        "lease-expiry-is-permission" => new TakingExpiryForPermission(store),
        "no-token-comparison" => new WritingAsWhoeverOwns(store, configuration.GetSection("Store")),
        _ => throw new ArgumentException($"Unknown defect {defect}.", nameof(defect)),
    };

    public virtual ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken) => store.ClaimAsync(claim, cancellationToken);

    public virtual ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) => store.SettleAsync(claim, answer, cancellationToken);

    public virtual ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) => store.MarkUncertainAsync(claim, cancellationToken);

    public virtual ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) => store.ReleaseAsync(claim, cancellationToken);

    public virtual ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken) => store.RenewAsync(claims, cancellationToken);

    public ValueTask<ClaimResult?> WatchAsync(RecordId id, CancellationToken cancellationToken) => store.WatchAsync(id, cancellationToken);

    public ValueTask<IReadOnlyList<UncertainRecord>> FindUncertainAsync(int max, CancellationToken cancellationToken) => store.FindUncertainAsync(max, cancellationToken);

    public ValueTask<UncertainPart> WalkUncertainAsync(int max, CancellationToken cancellationToken) => store.WalkUncertainAsync(max, cancellationToken);

    public ValueTask<bool> ForgetAsync(RecordId id, CancellationToken cancellationToken) => store.ForgetAsync(id, cancellationToken);

    public ValueTask<byte[]> GetSecretAsync(CancellationToken cancellationToken) => store.GetSecretAsync(cancellationToken);

    public ValueTask PingAsync(CancellationToken cancellationToken) => store.PingAsync(cancellationToken);

    public virtual ValueTask DisposeAsync() => store.DisposeAsync();

    /// <summary>What may have been executed is freed.</summary>
    private sealed class ReleasingOnAnyError(IIdempotencyStore store) : BrokenStore(store)
    {
        public override ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) => ReleaseAsync(claim, cancellationToken);
    }

    /// <summary>The client is answered before the store has the answer: the store says that it does when it may not.</summary>
    private sealed class AnsweringBeforeSettling(IIdempotencyStore store) : BrokenStore(store)
    {
        public override ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken)
        {
            var kept = answer.ToArray();
            _ = Task.Run(async () => await base.SettleAsync(claim, kept, CancellationToken.None), CancellationToken.None);
            return ValueTask.FromResult(WriteResult.Done);
        }
    }

    /// <summary>What is uncertain, for whatever reason, is taken over by whoever comes, whatever its policy says.</summary>
    private sealed class TakingExpiryForPermission(IIdempotencyStore store) : BrokenStore(store)
    {
        public override async ValueTask<ClaimResult> ClaimAsync(ClaimRequest claim, CancellationToken cancellationToken)
        {
            var found = await base.ClaimAsync(claim, cancellationToken);
            return found.State == ClaimState.Uncertain
                ? await base.ClaimAsync(claim with { TakeOver = found.Attempt, Fingerprint = found.Fingerprint }, cancellationToken)
                : found;
        }
    }

    /// <summary>It writes in the name of whoever owns the claim now.</summary>
    private sealed class WritingAsWhoeverOwns(IIdempotencyStore store, IConfigurationSection settings) : BrokenStore(store)
    {
        private readonly Lazy<ConnectionMultiplexer> _redis = new(() => ConnectionMultiplexer.Connect(settings["Redis:Configuration"]! + ",abortConnect=false"));
        private readonly Lazy<NpgsqlDataSource> _postgres = new(() => NpgsqlDataSource.Create(settings["Postgres:ConnectionString"]!));

        public override async ValueTask<WriteResult> SettleAsync(ClaimRequest claim, ReadOnlyMemory<byte> answer, CancellationToken cancellationToken) =>
            await base.SettleAsync(await AsOwnerAsync(claim), answer, cancellationToken);

        public override async ValueTask<WriteResult> MarkUncertainAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
            await base.MarkUncertainAsync(await AsOwnerAsync(claim), cancellationToken);

        public override async ValueTask<WriteResult> ReleaseAsync(ClaimRequest claim, CancellationToken cancellationToken) =>
            await base.ReleaseAsync(await AsOwnerAsync(claim), cancellationToken);

        public override async ValueTask<IReadOnlyList<WriteResult>> RenewAsync(IReadOnlyList<ClaimRequest> claims, CancellationToken cancellationToken)
        {
            var owners = new List<ClaimRequest>();
            foreach (var claim in claims)
            {
                owners.Add(await AsOwnerAsync(claim));
            }

            return await base.RenewAsync(owners, cancellationToken);
        }

        public override async ValueTask DisposeAsync()
        {
            await base.DisposeAsync();
            if (_redis.IsValueCreated)
            {
                await _redis.Value.DisposeAsync();
            }

            if (_postgres.IsValueCreated)
            {
                await _postgres.Value.DisposeAsync();
            }
        }

        /// <exception cref="StoreUnavailableException">The record cannot be read, whatever the client throws.</exception>
        private async Task<ClaimRequest> AsOwnerAsync(ClaimRequest claim)
        {
            try
            {
                return await OwnerOfAsync(claim.Id) is { } token ? claim with { Token = ClaimToken.From(token) } : claim;
            }
#pragma warning disable CA1031 // every failure of a store is this one
            catch (Exception e)
#pragma warning restore CA1031
            {
                throw new StoreUnavailableException("The owner of the record cannot be read.", e);
            }
        }

        /// <summary>What stands in the record, in the order of its bytes; null when there is none.</summary>
        private async Task<byte[]?> OwnerOfAsync(RecordId id)
        {
            switch (settings["Kind"])
            {
                case "Redis":
                    return await _redis.Value.GetDatabase().HashGetAsync(new RedisKeys(settings["Redis:KeyPrefix"] ?? new RedisStoreSettings().KeyPrefix).Of(id)[0], "t");
                case "Postgres":
                    await using (var token = _postgres.Value.CreateCommand("SELECT uuid_send(token) FROM idempotency_records WHERE id = $1"))
                    {
                        token.Parameters.AddWithValue(Convert.FromHexString(id.ToString()));
                        return (byte[]?)await token.ExecuteScalarAsync();
                    }

                default:
                    await using (var file = new SqliteConnection($"Data Source={settings["Embedded:Path"] ?? new EmbeddedStoreSettings().Path}"))
                    {
                        await file.OpenAsync();
                        await using var token = file.CreateCommand();
                        token.CommandText = "SELECT token FROM records WHERE id = $id";
                        token.Parameters.AddWithValue("$id", Convert.FromHexString(id.ToString()));
                        return (byte[]?)await token.ExecuteScalarAsync();
                    }
            }
        }
    }
}
