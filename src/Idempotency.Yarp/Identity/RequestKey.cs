using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp;

/// <summary>The key of one request, from the places that the policy names: the first that is present.</summary>
/// <param name="Parse">How reading it ended.</param>
/// <param name="Value">The key, when Ok.</param>
/// <param name="Reason">What is wrong and what was expected, when Invalid. Never repeats the key.</param>
internal readonly record struct RequestKey(KeyParse Parse, string Value, string Reason)
{
    /// <summary>In characters, of a key that is not a header field: room for a long URL.</summary>
    public const int MaxValueLength = 4096;

    public static RequestKey Read(RequestValues values, IdempotencyPolicy policy)
    {
        RequestKey? first = null;
        RequestKey? field = null;
        foreach (var selector in policy.Key)
        {
            var isHeader = selector.Kind == SelectorKind.Header;
            if (first is not null && !isHeader)
            {
                continue;
            }

            var key = Check(selector.IsField(IdempotencyKey.Field) ? ReadField(values, selector) : ReadValue(values, selector), selector, policy);
            if (key.Parse == KeyParse.Invalid)
            {
                return key;
            }

            if (key.Parse == KeyParse.Missing)
            {
                continue;
            }

            if (isHeader && field is { } other && other.Value != key.Value)
            {
                return Invalid($"{selector} has another key than a header field before it; expected one key.");
            }

            first ??= key;
            field ??= isHeader ? key : null;
        }

        return first ?? new RequestKey(KeyParse.Missing, "", "");
    }

    /// <summary>Of the field whose grammar is defined.</summary>
    private static RequestKey ReadField(RequestValues values, Selector selector)
    {
        var parse = IdempotencyKey.Parse(values.Of(selector), out var key, out var reason);
        return new RequestKey(parse, key, reason);
    }

    /// <summary>From any other place: text as whoever sends it has made it.</summary>
    private static RequestKey ReadValue(RequestValues values, Selector selector)
    {
        var found = values.Of(selector);
        return found.Count switch
        {
            0 => new RequestKey(KeyParse.Missing, "", ""),
            > 1 => Invalid($"{selector} stands {found.Count} times; expected one."),
            _ when values.Defect is { } defect => Invalid(defect),
            _ when found[0] is not { Length: > 0 and <= MaxValueLength } => Invalid($"{selector} has {found[0]?.Length ?? 0} characters; expected 1 to {MaxValueLength}."),
            _ => new RequestKey(KeyParse.Ok, selector.Kind == SelectorKind.Header ? IdempotencyKey.Unquoted(found[0]!) : found[0]!, ""),
        };
    }

    /// <summary>What the policy asks of a key, wherever it stands.</summary>
    private static RequestKey Check(RequestKey key, Selector selector, IdempotencyPolicy policy) =>
        key.Parse != KeyParse.Ok ? key
        : key.Value.Length < policy.KeyMinLength ? Invalid($"The key in {selector} has {key.Value.Length} characters; expected at least {policy.KeyMinLength}.")
        : policy.KeyPattern?.IsMatch(key.Value) is false ? Invalid($"The key in {selector} does not look as expected: {policy.KeyPattern.Text}")
        : key;

    private static RequestKey Invalid(string reason) => new(KeyParse.Invalid, "", reason);
}
