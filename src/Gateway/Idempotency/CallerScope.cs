using Gateway.Policies;

namespace Gateway.Idempotency;

/// <summary>
/// Who a key belongs to: the values of all scope selectors together, so that one caller's key never meets another's. Callers without
/// any credential share one scope; a policy with scope <c>global</c> has none.
/// </summary>
internal static class CallerScope
{
    public static void AddTo(ref FieldHash hash, RequestValues found, IdempotencyPolicy policy)
    {
        if (TestHooks.HasDefect("scope-ignored"))
        {
            return;
        }

        hash.Add(policy.Scope.Count);
        foreach (var selector in policy.Scope)
        {
            var values = selector.Kind == SelectorKind.Claim ? found.OfRequiredClaim(selector) : found.Of(selector);
            hash.Add(selector.ToString().ToUpperInvariant());
            hash.Add(values.Count);
            foreach (var value in values)
            {
                hash.Add(value);
            }
        }
    }
}
