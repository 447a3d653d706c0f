using System.Text.RegularExpressions;

namespace Idempotency.Storage;

/// <summary>
/// What may be shown of a text that somebody configured, or that a library or a server made of it. The one place that decides this: a
/// credential that was written into the wrong place must not come out in a banner, a log line, a health answer or an error.
/// </summary>
internal static partial class SafeText
{
    /// <summary>Stands where something is left out.</summary>
    private const string Hidden = "***";

    /// <summary>An address, if it has neither a user nor a query; else scheme, host and port of it.</summary>
    public static string OfAddress(string address) =>
        IsHarmless(address) && !address.Contains('?', StringComparison.Ordinal) ? address
        : Uri.TryCreate(address, UriKind.Absolute, out var uri) && uri.Host.Length > 0 ? $"{uri.Scheme}://{uri.Authority[(uri.Authority.LastIndexOf('@') + 1)..]}"
        : Hidden;

    /// <summary>A host, or a host with its port; hidden when it is neither.</summary>
    public static string OfHost(string host) => HostForm.IsMatch(host) ? host : Hidden;

    /// <summary>A name of a database, a service or a user; hidden when it looks like more than a name.</summary>
    public static string OfName(string name) => NameForm.IsMatch(name) ? name : Hidden;

    /// <summary>Whether a configured value may be repeated: not when it has the form of what holds credentials.</summary>
    public static bool IsHarmless(string value) =>
        !value.Contains('@', StringComparison.Ordinal) && !SettingList.IsMatch(value) && !Assignment.IsMatch(value) && !AuthScheme.IsMatch(value);

    /// <summary>A message of a library, without what looks like a credential in it.</summary>
    public static string OfMessage(string message)
    {
        var text = UserInfo.Replace(message, $"://{Hidden}@");
        text = AuthScheme.Replace(text, match => $"{match.Groups[1].Value} {Hidden}");
        return Assignment.Replace(text, match => $"{match.Groups[1].Value}{match.Groups[2].Value}{Hidden}");
    }

    [GeneratedRegex(@"^[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?$|^\[[0-9A-Fa-f:.%a-z]{2,}\](:[0-9]{1,5})?$|^[0-9A-Fa-f]*:[0-9A-Fa-f:.]*$|^/[A-Za-z0-9._/-]{0,253}$")]
    private static partial Regex HostForm { get; }

    [GeneratedRegex("^[A-Za-z0-9._-]{1,63}$")]
    private static partial Regex NameForm { get; }

    /// <summary><c>a=b;c</c> and <c>a=b,c</c>: a connection string.</summary>
    [GeneratedRegex("=[^;,]*[;,]|[;,].*=")]
    private static partial Regex SettingList { get; }

    [GeneratedRegex(@"\b(passw(?:or)?d|pwd|secret|token|api-?_?key|credentials?|auth(?:orization)?|user(?: ?id|name)?)(\s*[=:]\s*)(?!expected\b)[^\s,;""']+", RegexOptions.IgnoreCase)]
    private static partial Regex Assignment { get; }

    [GeneratedRegex(@"\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{4,}", RegexOptions.IgnoreCase)]
    private static partial Regex AuthScheme { get; }

    /// <summary>Greedy: a password may have an @ of its own.</summary>
    [GeneratedRegex(@"://[^/\s""']*@")]
    private static partial Regex UserInfo { get; }
}
