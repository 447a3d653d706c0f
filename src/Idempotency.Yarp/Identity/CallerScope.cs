using Idempotency.Yarp.Policies;
using Microsoft.Extensions.Primitives;

namespace Idempotency.Yarp;

/// <summary>
/// Who a key belongs to: the values of all scope selectors together, so that one caller's key never meets another's. Callers without
/// any credential share one scope; a policy with scope <c>global</c> has none.
/// </summary>
internal static class CallerScope
{
    public static void AddTo(ref FieldHash hash, RequestValues found, IdempotencyPolicy policy)
    {
        hash.Add(policy.Scope.Count);
        foreach (var selector in policy.Scope)
        {
            if (selector.Kind == SelectorKind.Credentials)
            {
                AddCredentials(ref hash, found);
                continue;
            }

            var values = selector.Kind == SelectorKind.Claim ? found.OfRequiredClaim(selector) : found.Of(selector);
            Add(ref hash, selector, values);
        }
    }

    /// <summary>
    /// Authorization always, everything else only where it is there: so the records of callers who have nothing else are those of releases whose
    /// default was Authorization alone.
    /// </summary>
    private static void AddCredentials(ref FieldHash hash, RequestValues found)
    {
        Add(ref hash, Selector.CredentialFields[0], found.Of(Selector.CredentialFields[0]));
        for (var i = 1; i < Selector.CredentialFields.Count; i++)
        {
            AddWhatIsThere(ref hash, Selector.CredentialFields[i], found);
        }

        AddWhatIsThere(ref hash, Selector.ClientCertificate, found);
    }

    private static void AddWhatIsThere(ref FieldHash hash, Selector selector, RequestValues found)
    {
        if (found.Of(selector) is { Count: > 0 } values)
        {
            Add(ref hash, selector, values);
        }
    }

    private static void Add(ref FieldHash hash, Selector selector, in StringValues values)
    {
        hash.Add(selector.ToString().ToUpperInvariant());
        hash.Add(values.Count);
        foreach (var value in values)
        {
            hash.Add(value);
        }
    }
}
