using System.Globalization;
using System.Net;
using StackExchange.Redis;

namespace Idempotency.Storage.Redis;

/// <summary>
/// <c>Store:Redis:Configuration</c>, read strictly: end points first, then options that have no setting of their own. The client's own
/// parser takes what it does not understand for a host, and a host is shown: so a password with a comma would be.
/// </summary>
internal static class RedisAddresses
{
    /// <summary>Options that are handed to the client. Names as in its documentation.</summary>
    private static readonly string[] Passed =
        ["checkCertificateRevocation", "configCheckSeconds", "defaultDatabase", "tcpKeepAlive", "topologyRefreshSeconds", "version"];

    /// <summary>Options that have a setting of their own, and it.</summary>
    private static readonly (string Option, string Setting)[] Moved =
    [
        ("user", "User"),
        ("password", "Password or PasswordFile"),
        ("ssl", "Tls:Enabled"),
        ("sslHost", "Tls:ServerName"),
        ("sslProtocols", "Tls:Enabled, which takes TLS 1.2 and 1.3"),
        ("serviceName", "Sentinel:ServiceName"),
        ("sentinelUser", "Sentinel:User"),
        ("sentinelPassword", "Sentinel:Password or PasswordFile"),
        ("syncTimeout", "Store:Timeout"),
        ("asyncTimeout", "Store:Timeout"),
        ("channelPrefix", "KeyPrefix, which stands before channels too"),
    ];

    /// <summary>Options that the gateway decides, because its promise or its limits hang on them.</summary>
    private static readonly string[] Decided =
    [
        "abortConnect", "allowAdmin", "configChannel", "connectRetry", "connectTimeout", "highIntegrity", "highPriorityThreads", "keepAlive",
        "maintMovingEndpointType", "maintNotifications", "maintPostEventRelaxed", "maintRelaxedTimeout", "maintRelaxedWindowMax", "name",
        "preserveAsyncOrder", "protocol", "resolveDns", "responseTimeout", "setlib", "sharedSubscriptionConnection", "tiebreaker", "writeBuffer",
    ];

    /// <summary>Options of what is not supported.</summary>
    private static readonly string[] Refused = ["proxy", "tunnel"];

    /// <summary>The end points of a configuration without mistakes.</summary>
    public static IReadOnlyList<EndPoint> EndPointsOf(string configuration) =>
        [.. Parts(configuration).Select(TryParseEndPoint).OfType<EndPoint>().Distinct()];

    /// <summary>Whether an option is written.</summary>
    public static bool HasOption(string configuration, string option) =>
        Parts(configuration).Any(part => part.StartsWith($"{option}=", StringComparison.OrdinalIgnoreCase));

    /// <summary>The client's options as the configuration has them, without end points.</summary>
    /// <exception cref="ArgumentException">The client does not understand one.</exception>
    public static ConfigurationOptions OptionsOf(string configuration)
    {
        // The client's parser wants something to read.
        var options = Parts(configuration).Where(part => TryParseEndPoint(part) is null).ToList();
        return options.Count == 0 ? new ConfigurationOptions() : ConfigurationOptions.Parse(string.Join(',', options));
    }

    /// <summary>Everything that is wrong, as what was expected instead. No part of the text is repeated but names of known options.</summary>
    public static IReadOnlyList<string> FindMistakes(string configuration)
    {
        var mistakes = new List<string>();
        var hasOptions = false;
        var place = 0;
        foreach (var part in Parts(configuration))
        {
            place++;
            var equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0 && !part[..equals].Contains('@', StringComparison.Ordinal))
            {
                hasOptions = true;
                if (MistakeOfOption(part[..equals].Trim(), part, place) is { } mistake)
                {
                    mistakes.Add(mistake);
                }
            }
            else if (hasOptions)
            {
                mistakes.Add(Invariant($"part {place} is no option; end points stand first, and a password with a comma has a place of its own, Password"));
            }
            else if (TryParseEndPoint(part) is null)
            {
                mistakes.Add(Invariant($"part {place} is no end point; expected host:port or [IPv6]:port, such as 127.0.0.1:6379; URLs (redis://) are not understood"));
            }
        }

        if (mistakes.Count == 0 && EndPointsOf(configuration).Count == 0)
        {
            mistakes.Add("expected at least one end point, such as 127.0.0.1:6379");
        }

        return mistakes;
    }

    /// <summary>As it stands in the configuration.</summary>
    public static string Describe(EndPoint endPoint) =>
        endPoint is DnsEndPoint dns ? Invariant($"{SafeText.OfHost(dns.Host)}:{dns.Port}") : endPoint.ToString() ?? "";

    /// <param name="host">A name or an address, without brackets.</param>
    /// <param name="port">Its port.</param>
    public static EndPoint ToEndPoint(string host, int port) =>
        IPAddress.TryParse(host, out var address) ? new IPEndPoint(address, port) : new DnsEndPoint(host, port);

    private static string[] Parts(string configuration) =>
        configuration.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static string? MistakeOfOption(string name, string part, int place)
    {
        if (Array.Find(Moved, moved => moved.Option.Equals(name, StringComparison.OrdinalIgnoreCase)) is { Option: { } option, Setting: var setting })
        {
            return $"the option {option} is not taken here; use {setting}";
        }

        if (Array.Find(Decided, decided => decided.Equals(name, StringComparison.OrdinalIgnoreCase)) is { } ours)
        {
            return $"the option {ours} is decided by the gateway; remove it";
        }

        if (Array.Find(Refused, refused => refused.Equals(name, StringComparison.OrdinalIgnoreCase)) is { } unsupported)
        {
            return $"the option {unsupported} is not supported; remove it";
        }

        var passed = Array.Find(Passed, known => known.Equals(name, StringComparison.OrdinalIgnoreCase));
        if (passed is null && !IsCommandName(name))
        {
            return Invariant($"part {place} is an option that is not known; known here: {string.Join(", ", Passed)}, $COMMAND");
        }

        try
        {
            ConfigurationOptions.Parse(part);
            return null;
        }
        catch (Exception e) when (e is ArgumentException or FormatException or OverflowException)
        {
            return passed is null ? Invariant($"part {place} has a value that is not understood") : $"the option {passed} has a value that is not understood";
        }
    }

    /// <summary><c>$COMMAND=other</c>: a server that has renamed a command, or has it not at all.</summary>
    private static bool IsCommandName(string name) =>
        name is ['$', _, ..] && name.AsSpan(1).IndexOfAnyExceptInRange('A', 'z') < 0;

    /// <summary>Strictly, port included: whatever else stands here, such as a password without its name, is not taken for a host.</summary>
    private static EndPoint? TryParseEndPoint(string text)
    {
        var colon = text.LastIndexOf(':');
        if (colon < 1 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) || port == 0)
        {
            return null;
        }

        var host = text[..colon];
        if (host is ['[', .. var inner, ']'])
        {
            return IPAddress.TryParse(inner, out var address) && inner.Contains(':', StringComparison.Ordinal) ? new IPEndPoint(address, port) : null;
        }

        return Uri.CheckHostName(host) is UriHostNameType.Dns or UriHostNameType.IPv4 ? ToEndPoint(host, port) : null;
    }

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
