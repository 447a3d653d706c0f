namespace DemoBackend;

/// <summary>What both forms of the account system take.</summary>
/// <param name="Reference">The client's own name for the account: what duplicates are counted by.</param>
/// <param name="Deposit">The first deposit, in the currency's smallest unit.</param>
internal sealed record AccountRequest(string? Reference, string? Owner, long Deposit)
{
    const string Example = """{"reference":"A-1","owner":"Ann","deposit":100}""";

    public static async Task<(AccountRequest? Account, string? Error)> ReadAsync(HttpRequest http)
    {
        var body = await JsonBody<AccountRequest>.ReadAsync(http, Example);
        return (body.Value, body.Error ?? FindError(body.Value));
    }

    static string? FindError(AccountRequest? account) => account switch
    {
        null => $"The body is missing: JSON such as {Example}.",
        _ when string.IsNullOrWhiteSpace(account.Reference) => "reference is missing: the client's name for the account.",
        _ when string.IsNullOrWhiteSpace(account.Owner) => "owner is missing: whose account it is.",
        { Deposit: < 1 } => $"deposit is {account.Deposit}: it must be 1 or more.",
        _ => null,
    };
}
