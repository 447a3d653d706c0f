using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>Which fields of an answer are recorded: the end-to-end ones (RFC 9110, section 7.6.1), less those that the policy drops.</summary>
internal static class RecordedHeaders
{
    private static readonly HashSet<string> NeverRecorded = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
        "Content-Length", // written anew from the recorded body
        GatewayHeaders.Status,
    };

    /// <summary>A pair per field line, in order, multiple values apart.</summary>
    public static List<KeyValuePair<string, string>> Of(IHeaderDictionary headers, IdempotencyPolicy policy)
    {
        var recorded = new List<KeyValuePair<string, string>>(headers.Count);
        foreach (var (name, values) in headers)
        {
            if (NeverRecorded.Contains(name)
                || name.StartsWith("Proxy-", StringComparison.OrdinalIgnoreCase)
                || Contains(policy.DropHeaders, name))
            {
                continue;
            }

            foreach (var value in values)
            {
                recorded.Add(new(name, value ?? ""));
            }
        }

        return recorded;
    }

    /// <summary>Whether the backend forbade storing its answer (RFC 9111, section 5.2.2.5), whatever else stands beside it.</summary>
    public static bool HasNoStore(IHeaderDictionary headers) =>
        headers.GetCommaSeparatedValues("Cache-Control").Any(directive => directive.Equals("no-store", StringComparison.OrdinalIgnoreCase));

    private static bool Contains(IReadOnlyList<string> names, string name)
    {
        foreach (var item in names)
        {
            if (string.Equals(item, name, StringComparison.OrdinalIgnoreCase))
            {
                return true;
            }
        }

        return false;
    }
}
