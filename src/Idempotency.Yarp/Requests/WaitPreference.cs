using System.Globalization;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>How long a duplicate waits: as the policy says, or less when the client prefers so (<c>Prefer: wait=N</c>, RFC 7240, section 4.3).</summary>
internal static class WaitPreference
{
    public static TimeSpan Of(IHeaderDictionary headers, IdempotencyPolicy policy)
    {
        if (policy.Duplicates != Contention.Wait || policy.Mode == PolicyMode.Observe)
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
