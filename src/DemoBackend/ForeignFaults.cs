namespace DemoBackend;

/// <summary>
/// How the foreign systems are to fail (values of <c>X-Demo-Fail</c>, see <see cref="Faults"/>) while one request is worked on; asked for
/// by headers of that request. <see cref="Deposit"/> is the second call to core banking alone.
/// </summary>
internal sealed record ForeignFaults(string CoreBanking, string Deposit, string Registry)
{
    public static readonly ForeignFaults None = new("", "", "");

    public static ForeignFaults Of(HttpRequest request)
    {
        var coreBanking = request.Headers["X-Demo-Fail-Core-Banking"].ToString();
        var deposit = request.Headers["X-Demo-Fail-Deposit"].ToString();
        return new(coreBanking, deposit.Length > 0 ? deposit : coreBanking, request.Headers["X-Demo-Fail-Registry"].ToString());
    }
}
