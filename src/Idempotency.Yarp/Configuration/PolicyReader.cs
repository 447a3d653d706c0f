using System.Globalization;
using Idempotency.Yarp.Policies;

namespace Idempotency.Yarp.Configuration;

/// <summary>Turns one section of <c>Idempotency:Policies</c> into an <see cref="IdempotencyPolicy"/>.</summary>
internal static class PolicyReader
{
    private const string StatusExpected = "a status code from 200 to 999";
    private const int MaxKeyMinLength = 255; // the longest Idempotency-Key
    private const string HeaderExpected = "the name of a header field";
    private static readonly IdempotencyPolicy Defaults = new() { Name = IdempotencyPolicy.DefaultName };
    private static readonly TimeSpan MinWait = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan MaxWait = TimeSpan.FromMinutes(5);

    public static IdempotencyPolicy Read(string name, SettingsReader reader)
    {
        var fingerprint = reader.Section("Fingerprint");
        var inFlight = reader.Section("InFlight");
        var uncertain = reader.Section("Uncertain");
        var response = reader.Section("Response");
        TimeSpan lease;
        var policy = new IdempotencyPolicy
        {
            Name = name,
            Mode = reader.Choice("Mode", Defaults.Mode),
            Methods = reader.List("Methods", Defaults.Methods, ParseMethod, "an unsafe method such as POST; safe methods are never claimed"),
            Key = ReadSelectors(reader, "Key", Defaults.Key),
            KeyPattern = ReadKeyPattern(reader),
            KeyMinLength = (int)reader.Number("KeyMinLength", Defaults.KeyMinLength, 1, MaxKeyMinLength, "characters"),
            KeyTime = reader.List("KeyTime", Defaults.KeyTime, ParseKeyTime, string.Join(" or ", Enum.GetNames<KeyTime>())),
            ForwardKey = reader.Choice("ForwardKey", Defaults.ForwardKey),
            Scope = ReadScope(reader),
            FingerprintBody = fingerprint.Choice("Body", Defaults.FingerprintBody),
            FingerprintHeaders = fingerprint.List("Headers", Defaults.FingerprintHeaders, ParseHeader, HeaderExpected),
            FingerprintIgnore = fingerprint.List("Ignore", Defaults.FingerprintIgnore, ParsePointer, "a JSON pointer (RFC 6901) such as /sentAt"),
            Retention = reader.Duration("Retention", Defaults.Retention, TimeSpan.FromSeconds(2), TimeSpan.FromDays(365)),
            Lease = lease = reader.Duration("Lease", Defaults.Lease, TimeSpan.FromSeconds(2), TimeSpan.FromHours(1)),
            Duplicates = inFlight.Choice("Duplicates", Defaults.Duplicates),
            MaxWait = inFlight.Duration("MaxWait", Defaults.MaxWait, MinWait, MaxWait),
            MaxWaiters = (int)inFlight.Number("MaxWaiters", Defaults.MaxWaiters, 1, 10_000, "requests"),
            UncertainRetries = uncertain.Choice("Retries", Defaults.UncertainRetries),
            Probe = ReadProbe(uncertain, lease),
            StoreDown = reader.Choice("StoreDown", Defaults.StoreDown),
            ReleaseStatuses = response.List("Release", Defaults.ReleaseStatuses, ParseStatus, StatusExpected),
            ReleaseRedirectsTo = response.List("ReleaseRedirectsTo", Defaults.ReleaseRedirectsTo, ParseRedirect, "a path such as /login, or everything below one, such as /auth/*"),
            UncertainStatuses = response.List("Uncertain", Defaults.UncertainStatuses, ParseStatus, StatusExpected),
            MaxAnswerBytes = response.Number("MaxBodyBytes", Defaults.MaxAnswerBytes, 0, 64 * 1024 * 1024, "bytes"),
            DropHeaders = response.List("DropHeaders", Defaults.DropHeaders, ParseHeader, HeaderExpected),
            NoStore = response.Choice("NoStore", Defaults.NoStore),
            Delivery = response.Choice("Delivery", Defaults.Delivery),
            MaxRequestBodyBytes = reader.Number("MaxRequestBodyBytes", Defaults.MaxRequestBodyBytes, 0, 1024 * 1024 * 1024, "bytes"),
            Lock = ReadLock(reader),
        };
        foreach (var section in (SettingsReader[])[reader, fingerprint, inFlight, uncertain, response])
        {
            section.RejectUnknown();
        }

        PolicyChecks.Check(policy, reader);
        return policy;
    }

    private static KeyPattern? ReadKeyPattern(SettingsReader reader)
    {
        if (reader.OptionalText("KeyPattern") is not { } text)
        {
            return null;
        }

        var pattern = KeyPattern.Parse(text, out var expected);
        if (pattern is null)
        {
            reader.Errors.Add(reader.PathOf("KeyPattern"), text, expected);
        }

        return pattern;
    }

    private static ProbePolicy? ReadProbe(SettingsReader uncertain, TimeSpan lease)
    {
        var isWritten = uncertain.IsWritten("Probe");
        var reader = uncertain.Section("Probe");
        var text = reader.OptionalText("Path");
        var pathTransforms = reader.Choice("PathTransforms", PathTransforms.Apply);
        var headers = ProbeReader.ReadHeaders(reader.Section("Headers"));
        var match = ProbeReader.ReadMatch(reader);
        var found = reader.List<int>("Found", [200], ParseStatus, StatusExpected);
        var absent = reader.List<int>("Absent", [404], ParseStatus, StatusExpected);
        var absentAfter = reader.Duration("AbsentAfter", lease, TimeSpan.Zero, TimeSpan.FromDays(1));
        reader.RejectUnknown();
        if (!isWritten)
        {
            return null;
        }

        var expected = "expected the path to ask, such as /payments?ref={key}";
        var path = text is null ? null : ProbeTemplate.Parse(text, out expected);
        if (path is null)
        {
            reader.Errors.Add(reader.PathOf("Path"), text, expected);
        }

        if (found.Intersect(absent).ToList() is { Count: > 0 } both)
        {
            reader.Errors.Add(reader.PathOf("Found"), string.Join(", ", both), "no status that Absent lists too");
        }

        return new ProbePolicy(path ?? ProbeTemplate.Root, headers, found, absent)
        {
            PathTransforms = reader.OptionalText("PathTransforms") is null ? null : pathTransforms,
            Match = match,
            AbsentAfter = absentAfter,
        };
    }

    private static LockPolicy? ReadLock(SettingsReader policy)
    {
        var isWritten = policy.IsWritten("Lock");
        var reader = policy.Section("Lock");
        var on = ReadSelectors(reader, "On", []);
        var contention = reader.Choice("Contention", Contention.Reject);
        var maxWait = reader.Duration("MaxWait", Defaults.MaxWait, MinWait, MaxWait);
        var maxWaiters = (int)reader.Number("MaxWaiters", 100, 1, 10_000, "requests");
        reader.RejectUnknown();
        if (isWritten && on.Count == 0)
        {
            reader.Errors.Add(reader.PathOf("On"), null, "expected at least one selector, such as route:seat: what is locked?");
        }

        return isWritten ? new LockPolicy(on, contention, maxWait, maxWaiters) : null;
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

    private static IReadOnlyList<Selector> ReadSelectors(SettingsReader reader, string key, IReadOnlyList<Selector> fallback)
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
            reader.Errors.Add(reader.PathOf(key), text, key == "Scope" ? $"{expected}; credentials; or global alone" : expected);
        }
        else if ((selector.Kind == SelectorKind.Credentials && key != "Scope") || (selector.Kind == SelectorKind.ClientCertificate && key == "Key"))
        {
            reader.Errors.Add(reader.PathOf(key), text, $"another selector, because this one says who a caller is: {Selector.Grammar}");
            return null;
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

    private static bool ParseRedirect(string text, out string path)
    {
        path = text;
        var fixedPart = text.EndsWith("/*", StringComparison.Ordinal) ? text[..^1] : text;
        return fixedPart.StartsWith('/') && fixedPart.AsSpan().IndexOfAny("*?# ") < 0;
    }

    private static bool ParsePointer(string text, out string pointer)
    {
        pointer = text;
        return text.Length > 0 && JsonPointer.Parse(text) is not null;
    }

    private static bool ParseKeyTime(string text, out KeyTime time) => Enum.TryParse(text, ignoreCase: true, out time) && Enum.IsDefined(time) && !char.IsAsciiDigit(text[0]);

    private static bool ParseStatus(string text, out int status) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out status) && status is >= 200 and <= 999;
}
