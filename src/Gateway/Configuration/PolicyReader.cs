using System.Globalization;
using Gateway.Policies;

namespace Gateway.Configuration;

/// <summary>Turns one section of <c>Idempotency:Policies</c> into an <see cref="IdempotencyPolicy"/>.</summary>
internal static class PolicyReader
{
    private static readonly IdempotencyPolicy Defaults = new() { Name = IdempotencyPolicy.DefaultName };

    public static IdempotencyPolicy Read(string name, SettingsReader reader)
    {
        var fingerprint = reader.Section("Fingerprint");
        var inFlight = reader.Section("InFlight");
        var uncertain = reader.Section("Uncertain");
        var response = reader.Section("Response");
        var policy = new IdempotencyPolicy
        {
            Name = name,
            Mode = reader.Choice("Mode", Defaults.Mode, "Observe"),
            Methods = reader.List("Methods", Defaults.Methods, ParseMethod, "an unsafe method such as POST; safe methods are never claimed"),
            Key = ReadSelectors(reader, "Key", Defaults.Key),
            Scope = ReadScope(reader),
            FingerprintBody = fingerprint.Choice("Body", Defaults.FingerprintBody, "Json"),
            FingerprintHeaders = fingerprint.List("Headers", Defaults.FingerprintHeaders, ParseHeader, "the name of a header field"),
            Retention = reader.Duration("Retention", Defaults.Retention, TimeSpan.FromSeconds(2), TimeSpan.FromDays(365)),
            Lease = reader.Duration("Lease", Defaults.Lease, TimeSpan.FromSeconds(2), TimeSpan.FromHours(1)),
            StoreDown = reader.Choice("StoreDown", Defaults.StoreDown),
            ReleaseStatuses = response.List("Release", Defaults.ReleaseStatuses, ParseStatus, "a status code from 200 to 999"),
            UncertainStatuses = response.List("Uncertain", Defaults.UncertainStatuses, ParseStatus, "a status code from 200 to 999"),
            MaxAnswerBytes = response.Number("MaxBodyBytes", Defaults.MaxAnswerBytes, 0, 64 * 1024 * 1024, "bytes"),
            DropHeaders = response.List("DropHeaders", Defaults.DropHeaders, ParseHeader, "the name of a header field"),
            MaxRequestBodyBytes = reader.Number("MaxRequestBodyBytes", Defaults.MaxRequestBodyBytes, 0, 1024 * 1024 * 1024, "bytes"),
        };

        inFlight.Choice("Duplicates", InFlightDuplicates.Reject, "Wait");
        uncertain.Choice("Retries", UncertainRetries.Refuse, "Retry", "Probe");
        response.Choice("Delivery", ResponseDelivery.Buffered, "Streamed");
        reader.NotYet("Lock");
        fingerprint.NotYet("Ignore");
        inFlight.NotYet("MaxWait", "MaxWaiters");
        uncertain.NotYet("Probe");
        foreach (var section in (SettingsReader[])[reader, fingerprint, inFlight, uncertain, response])
        {
            section.RejectUnknown();
        }

        CheckContradictions(policy, reader);
        return policy;
    }

    private static void CheckContradictions(IdempotencyPolicy policy, SettingsReader reader)
    {
        if (policy.Methods.Count == 0)
        {
            reader.Errors.Add(reader.PathOf("Methods"), null, "expected at least one method; a policy without methods protects nothing");
        }

        if (policy.Retention <= policy.Lease)
        {
            reader.Errors.Add(reader.PathOf("Retention"), $"{policy.Retention:c}", $"more than the Lease ({policy.Lease:c}): a record must outlive its claim");
        }

        var both = policy.ReleaseStatuses.Intersect(policy.UncertainStatuses).ToList();
        if (both.Count > 0)
        {
            reader.Errors.Add(reader.PathOf("Response:Release"), string.Join(", ", both), "no status that Response:Uncertain lists too");
        }

        if (policy.ReleaseStatuses.Any(status => status is < 400 or 500))
        {
            reader.Errors.Warn(reader.PathOf("Response:Release"), "frees the key after answers that may follow an execution; a retry then runs again");
        }

        if (policy.Scope.Count == 0)
        {
            reader.Errors.Warn(reader.PathOf("Scope"), "global: whoever knows a key gets its answer, whatever their credentials");
        }

        if (policy.StoreDown == StoreDown.Bypass)
        {
            reader.Errors.Warn(reader.PathOf("StoreDown"), "Bypass: while the store is down, requests are forwarded unprotected");
        }
    }

    private static IReadOnlyList<Selector> ReadSelectors(SettingsReader reader, string key, IReadOnlyList<Selector> fallback)
    {
        var selectors = ReadSelectorList(reader, key, fallback);
        if (selectors.Count != 1)
        {
            var expected = selectors.Count == 0 ? "expected one selector, such as header:Idempotency-Key" : "several key selectors are not supported yet; expected one";
            reader.Errors.Add(reader.PathOf(key), null, expected);
            return fallback;
        }

        return selectors;
    }

    private static IReadOnlyList<Selector> ReadScope(SettingsReader reader)
    {
        var written = reader.List("Scope", [.. Defaults.Scope.Select(selector => selector.ToString())], ParseText, "a selector");
        if (written is ["global"])
        {
            return [];
        }

        if (written.Count == 0)
        {
            reader.Errors.Add(reader.PathOf("Scope"), null, "expected at least one selector, or global written out: who does a key belong to?");
        }

        return [.. written.Select(text => ParseSelector(reader, "Scope", text)).OfType<Selector>()];
    }

    private static IReadOnlyList<Selector> ReadSelectorList(SettingsReader reader, string key, IReadOnlyList<Selector> fallback)
    {
        var written = reader.List(key, [.. fallback.Select(selector => selector.ToString())], ParseText, "a selector");
        var parsed = written.Select(text => ParseSelector(reader, key, text)).OfType<Selector>().ToList();
        return parsed.Count == written.Count ? parsed : fallback;
    }

    private static Selector? ParseSelector(SettingsReader reader, string key, string text)
    {
        var selector = Selector.Parse(text, out var expected);
        if (selector is null)
        {
            reader.Errors.Add(reader.PathOf(key), text, key == "Scope" ? $"{expected}; or global alone" : expected);
        }

        return selector;
    }

    private static bool ParseText(string text, out string value)
    {
        value = text;
        return true;
    }

    private static bool ParseMethod(string text, out string method)
    {
        method = text.ToUpperInvariant();
        return HttpToken.IsToken(text) && method is not ("GET" or "HEAD" or "OPTIONS" or "TRACE" or "CONNECT");
    }

    private static bool ParseHeader(string text, out string header)
    {
        header = text;
        return HttpToken.IsToken(text);
    }

    private static bool ParseStatus(string text, out int status) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out status) && status is >= 200 and <= 999;

    private enum InFlightDuplicates
    {
        Reject,
    }

    private enum UncertainRetries
    {
        Refuse,
    }

    private enum ResponseDelivery
    {
        Buffered,
    }
}
