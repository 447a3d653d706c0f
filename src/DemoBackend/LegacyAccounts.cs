using System.Data.Common;

namespace DemoBackend;

/// <summary>
/// Seed 002, the unmodified form: the same account at the same foreign systems, without keys and recovery points. Two equal calls open two
/// of everything, and a call that breaks off leaves what it has done so far.
/// </summary>
internal static class LegacyAccounts
{
    public static void Map(WebApplication app)
    {
        app.MapPost("/legacy/accounts", OpenAsync);
        app.MapGet("/legacy/accounts", AccountRows.FindAsync);
        app.MapGet("/legacy/accounts/{id:long}", AccountRows.GetAsync);
    }

    static async Task<IResult> OpenAsync(HttpRequest http, Database database, ForeignCalls foreign)
    {
        var (request, error) = await AccountRequest.ReadAsync(http);
        if (error is not null)
            return Results.Problem(error, statusCode: 400);

        var account = request!;
        var id = await WithConnectionAsync(database, connection => AccountRows.InsertAsync(connection, account));
        try
        {
            var faults = ForeignFaults.Of(http);
            var coreAccount = await foreign.CreateAccountAsync(account, key: null, faults);
            await foreign.DepositAsync(account, coreAccount, key: null, faults);
            await foreign.RegisterAsync(account, key: null, faults);
        }
        catch (ForeignSystemException e)
        {
            return Results.Problem(e.Message, statusCode: 502);
        }

        var opened = await WithConnectionAsync(database, connection => AccountRows.OpenAsync(connection, id));
        return Results.Created($"/legacy/accounts/{id}", opened);
    }

    // None is held while the foreign systems are called.
    static async Task<T> WithConnectionAsync<T>(Database database, Func<DbConnection, Task<T>> work)
    {
        await using var connection = await database.OpenAsync();
        return await work(connection);
    }
}
