using System.Net.Sockets;

namespace DemoBackend;

/// <summary>
/// Calls to the foreign systems. A call is sent once: .NET's client repeats a request by itself only when it has no content or waits for
/// 100-continue, or when its connection is a reused one (docs/decisions/0009-one-forward-one-arrival.md); here none is.
/// </summary>
internal sealed class ForeignCalls(DemoSettings settings, ForeignSystems own) : IDisposable
{
    readonly HttpClient _http = new(new SocketsHttpHandler
    {
        UseProxy = false,
        UseCookies = false,
        AllowAutoRedirect = false,
        PooledConnectionLifetime = TimeSpan.Zero,
    })
    { Timeout = settings.ForeignTimeout };

    Uri CoreBanking => settings.CoreBanking ?? own.Url;

    Uri Registry => settings.Registry ?? own.Url;

    /// <param name="key">The Idempotency-Key to send; null sends none.</param>
    /// <returns>The account's number at core banking.</returns>
    /// <exception cref="ForeignSystemException">Core banking failed or gave no answer. It may have made the account all the same.</exception>
    public Task<long> CreateAccountAsync(AccountRequest account, string? key, ForeignFaults faults) => PostAsync(
        new(CoreBanking, "/core-banking/accounts"), new ForeignSystems.NewAccount(account.Reference!, account.Owner!), key, faults.CoreBanking);

    /// <inheritdoc cref="CreateAccountAsync"/>
    public Task DepositAsync(AccountRequest account, long coreAccount, string? key, ForeignFaults faults) => PostAsync(
        new(CoreBanking, "/core-banking/deposits"),
        new ForeignSystems.NewDeposit(account.Reference!, coreAccount, account.Deposit), key, faults.Deposit);

    /// <inheritdoc cref="CreateAccountAsync"/>
    public Task RegisterAsync(AccountRequest account, string? key, ForeignFaults faults) => PostAsync(
        new(Registry, "/registry/entries"), new ForeignSystems.NewEntry(account.Reference!, account.Owner!), key, faults.Registry);

    public void Dispose() => _http.Dispose();

    async Task<long> PostAsync<T>(Uri url, T body, string? key, string fault)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url) { Content = JsonContent.Create(body) };
        if (key is not null)
            request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        if (fault.Length > 0)
            request.Headers.TryAddWithoutValidation("X-Demo-Fail", fault);

        try
        {
            using var answer = await _http.SendAsync(request);
            answer.EnsureSuccessStatusCode();
            return (await answer.Content.ReadFromJsonAsync<ForeignSystems.Created>())!.Id;
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException or SocketException)
        {
            // A bare SocketException comes out of the client when a connection is reset as soon as it is made.
            throw new ForeignSystemException($"POST {url.AbsolutePath}: {e.Message}", e);
        }
    }
}
