namespace Idempotency.Storage;

/// <summary>Log events of the stores and of lease keeping: ids 2000 to 2099.</summary>
internal static partial class StoreLog
{
    /// <summary>Says so when a write found that the claim is another's. A release that does only comes late: the key was free before.</summary>
    /// <returns>False when there was nothing to say.</returns>
    public static bool ReportIfAnothers(ILogger logger, in ClaimRequest claim, WriteResult result, bool isRelease)
    {
        switch (result)
        {
            case WriteResult.Foreign when !isRelease:
                ClaimForeign(logger, claim.Id.Short);
                return true;
            case WriteResult.TakenOver when !isRelease:
                ClaimTakenOver(logger, claim.Id.Short);
                return true;
            default:
                return false;
        }
    }

    [LoggerMessage(2000, LogLevel.Warning, "The store {Store} is failing: {Reason}. Keyed requests are refused until it recovers.")]
    public static partial void Failing(ILogger logger, string store, string reason);

    [LoggerMessage(2001, LogLevel.Information, "The store {Store} works again.")]
    public static partial void Recovered(ILogger logger, string store);

    [LoggerMessage(2002, LogLevel.Warning, "The connection to {Store} cannot be trusted; it is replaced.")]
    public static partial void LinkReplaced(ILogger logger, string store);

    [LoggerMessage(2003, LogLevel.Error, "{Store} was emptied, or was restarted or replaced without its last writes: acknowledged writes are lost. Own writes of the last minute are put back before new claims are taken.")]
    public static partial void StoreReset(ILogger logger, string store);

    [LoggerMessage(2004, LogLevel.Warning, "{Store}: {Finding}.")]
    public static partial void Preflight(ILogger logger, string store, string finding);

    [LoggerMessage(2005, LogLevel.Warning, "{Store}: {Count} of the last writes were put back.")]
    public static partial void PutBack(ILogger logger, string store, int count);

    [LoggerMessage(2006, LogLevel.Error, "{Store} lost the secret of record ids, and another instance made a new one: keys recorded before are unknown now.")]
    public static partial void SecretChanged(ILogger logger, string store);

    [LoggerMessage(2007, LogLevel.Error, "{Store} answered with another request's reply; the link is replaced.")]
    public static partial void Desynchronised(ILogger logger, string store);

    [LoggerMessage(2008, LogLevel.Warning, "{Store} was restarted or replaced. No own write of the last minute is missing; those of gateways that ended may be.")]
    public static partial void StoreRestarted(ILogger logger, string store);

    [LoggerMessage(2009, LogLevel.Error, "{Store} may have lost acknowledged writes: {Loss}. It was restored, or a standby took over that may not have been synchronous. Own writes of the last minute are put back before new claims are taken; those of gateways that ended are not, and their requests may run again.")]
    public static partial void ServerChanged(ILogger logger, string store, string loss);

    [LoggerMessage(2017, LogLevel.Error, "The tables of {Store} were gone and were created anew: every key that was on record is unknown now, and its request may run again.")]
    public static partial void TablesRecreated(ILogger logger, string store);

    [LoggerMessage(2010, LogLevel.Error, "The store lost the claim {Record}; its owner put it back. If another request with this key came in between, it ran twice.")]
    public static partial void ClaimRecreated(ILogger logger, string record);

    [LoggerMessage(2011, LogLevel.Error, "The claim {Record} belongs to another owner now; its request may have run twice.")]
    public static partial void ClaimForeign(ILogger logger, string record);

    [LoggerMessage(2012, LogLevel.Warning, "Leases could not be renewed: {Reason}. It is tried again until they end.")]
    public static partial void RenewFailed(ILogger logger, string reason);

    [LoggerMessage(2013, LogLevel.Error, "The outcome of {Record} could not be recorded: {Why}. Its key stays uncertain.")]
    public static partial void SettleGivenUp(ILogger logger, string record, string why);

    [LoggerMessage(2014, LogLevel.Information, "The outcome of {Record} was recorded late.")]
    public static partial void SettledLate(ILogger logger, string record);

    [LoggerMessage(2015, LogLevel.Error, "Keeping leases failed; it is tried again.")]
    public static partial void LeaseKeepingFailed(ILogger logger, Exception exception);

    [LoggerMessage(2016, LogLevel.Warning, "The claim {Record} was taken over or deleted while its owner was away; what the owner learned is not recorded.")]
    public static partial void ClaimTakenOver(ILogger logger, string record);

    [LoggerMessage(2018, LogLevel.Warning, "The lease of the lock {Record} ended while its holder was away. Another request may have held it meanwhile, and may still.")]
    public static partial void LockEnded(ILogger logger, string record);

    [LoggerMessage(2030, LogLevel.Debug, "Redis client: {Text}")]
    public static partial void Client(ILogger logger, string text);

    [LoggerMessage(2050, LogLevel.Warning, "The answers' server {Server} is failing, bodies cannot be {What}: {Reason}. No request is refused for it before it has run; large answers go into the store, or are not kept, and recorded ones that are there wait for it.")]
    public static partial void AnswersFailing(ILogger logger, string server, string what, string reason);

    [LoggerMessage(2051, LogLevel.Information, "The answers' server {Server} works again, bodies are {What}.")]
    public static partial void AnswersRecovered(ILogger logger, string server, string what);
}
