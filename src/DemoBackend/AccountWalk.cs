using System.Text.Json;

namespace DemoBackend;

/// <summary>
/// Seed 002: walks a key from its recovery point to the end. Each phase calls a foreign system, with a key derived from the client's so that
/// a repeated call makes nothing new, and then moves the recovery point together with its own rows in one serializable transaction; no
/// transaction is open during a call. It may die anywhere, and two may walk one key: whoever comes later goes on where the key stands.
/// </summary>
internal sealed class AccountWalk(Database database, IdempotencyKeys keys, ForeignCalls foreign)
{
    /// <returns>The finished key.</returns>
    /// <exception cref="ForeignSystemException">The key stays at its recovery point.</exception>
    /// <exception cref="System.Data.Common.DbException">Another walker was quicker (a serialization failure), or the database failed.</exception>
    public async Task<IdempotencyKey> WalkAsync(string name, ForeignFaults faults)
    {
        await keys.TouchAsync(name);
        while (true)
        {
            var key = await keys.FindAsync(name);
            var account = JsonSerializer.Deserialize<AccountRequest>(key.Params, JsonSerializerOptions.Web)!;
            switch (key.RecoveryPoint)
            {
                case RecoveryPoint.Started:
                    await CreateAccountAsync(key, account, faults);
                    break;
                case RecoveryPoint.AccountCreated:
                    await CreateDepositAsync(key, account, faults);
                    break;
                case RecoveryPoint.DepositCreated:
                    await RegisterAsync(key, account, faults);
                    break;
                case RecoveryPoint.Finished:
                    return key;
                default:
                    throw new InvalidOperationException($"Bug! Unhandled recovery point '{key.RecoveryPoint}'");
            }
        }
    }

    async Task CreateAccountAsync(IdempotencyKey key, AccountRequest account, ForeignFaults faults)
    {
        var coreAccount = await foreign.CreateAccountAsync(account, $"{key.Key}:account", faults);
        await database.SerializableAsync(async connection =>
            await keys.MoveAsync(connection, key, RecoveryPoint.AccountCreated)
                ? await AccountRows.InsertAsync(connection, account, key.Id, coreAccount)
                : 0);
    }

    async Task CreateDepositAsync(IdempotencyKey key, AccountRequest account, ForeignFaults faults)
    {
        var (_, coreAccount) = await FindAccountAsync(key);
        await foreign.DepositAsync(account, coreAccount, $"{key.Key}:deposit", faults);
        await database.SerializableAsync(connection => keys.MoveAsync(connection, key, RecoveryPoint.DepositCreated));
    }

    async Task RegisterAsync(IdempotencyKey key, AccountRequest account, ForeignFaults faults)
    {
        var (id, _) = await FindAccountAsync(key);
        await foreign.RegisterAsync(account, $"{key.Key}:registry", faults);
        await database.SerializableAsync(async connection =>
        {
            var opened = await AccountRows.OpenAsync(connection, id);
            return await keys.MoveAsync(connection, key, RecoveryPoint.Finished, 201, JsonSerializer.Serialize(opened, JsonSerializerOptions.Web));
        });
    }

    async Task<(long Id, long CoreAccount)> FindAccountAsync(IdempotencyKey key)
    {
        await using var connection = await database.OpenAsync();
        return await AccountRows.FindByKeyAsync(connection, key.Id);
    }
}
