using System.Globalization;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>What a request does to get its key beyond claiming it. Under Observe: no wait, no take-over, no lock.</summary>
/// <param name="Wait">The longest that it waits for the first request's end.</param>
/// <param name="Retries">What it does when the first request's outcome is uncertain.</param>
/// <param name="Lock">What it locks; null for nothing.</param>
internal readonly record struct ClaimTerms(TimeSpan Wait, UncertainRetries Retries, LockPolicy? Lock)
{
    public static ClaimTerms Of(IHeaderDictionary headers, IdempotencyPolicy policy) =>
        policy.Mode == PolicyMode.Observe ? default : new ClaimTerms(WaitOf(headers, policy), policy.UncertainRetries, policy.Lock);

    /// <summary>As the policy says, or less when the client prefers so (<c>Prefer: wait=N</c>, RFC 7240, section 4.3).</summary>
    private static TimeSpan WaitOf(IHeaderDictionary headers, IdempotencyPolicy policy)
    {
        if (policy.Duplicates != Contention.Wait)
        {
            return TimeSpan.Zero;
        }

        foreach (var preference in headers.GetCommaSeparatedValues("Prefer"))
        {
            var parts = preference.Split(';')[0].Split('=', 2, StringSplitOptions.TrimEntries);
            if (parts is [var name, var value] && name.Equals("wait", StringComparison.OrdinalIgnoreCase)
                && int.TryParse(value.Trim('"'), NumberStyles.None, CultureInfo.InvariantCulture, out var seconds))
            {
                var wanted = TimeSpan.FromSeconds(seconds);
                return wanted < policy.MaxWait ? wanted : policy.MaxWait;
            }
        }

        return policy.MaxWait;
    }
}
