using Idempotency.Yarp.Policies;
using Yarp.ReverseProxy.Configuration;

namespace Idempotency.Yarp.Configuration;

/// <summary>
/// Whether a policy's probe can go the way that a route's requests go. What a transform takes from the request, and what it would do to
/// the question itself, cannot be carried over: such a probe would ask another resource, which says that the request is absent.
/// </summary>
internal static class ProbeRouteChecks
{
    private const string ClientCert = "ClientCert";
    private const string HttpMethodChange = "HttpMethodChange";
    private const string PathPrefix = "PathPrefix";

    /// <summary>They give the path as a whole.</summary>
    private static readonly string[] WholePath = ["PathSet", "PathPattern"];

    private static readonly string[] Query = ["QueryValueParameter", "QueryRouteParameter", "QueryRemoveParameter"];

    /// <summary>They do the same to a probe, or are about answers, which a probe's answer goes through too.</summary>
    private static readonly string[] CarriedOver =
    [
        "RequestHeaderOriginalHost", "RequestHeader", "RequestHeaderRouteValue", "RequestHeaderRemove", "RequestHeadersCopy", "RequestHeadersAllowed",
        "X-Forwarded", "Forwarded", PathPrefix, "PathRemovePrefix",
        "ResponseHeader", "ResponseHeaderRemove", "ResponseHeadersCopy", "ResponseHeadersAllowed",
        "ResponseTrailer", "ResponseTrailerRemove", "ResponseTrailersCopy", "ResponseTrailersAllowed",
    ];

    /// <param name="section">Where routes are written, for messages.</param>
    /// <param name="routes">All of them.</param>
    /// <param name="policies">All of them.</param>
    /// <param name="errors">Taken down here.</param>
    public static void Check(string section, IReadOnlyList<RouteConfig> routes, IReadOnlyDictionary<string, IdempotencyPolicy> policies, ConfigurationErrors errors)
    {
        var skipped = new Dictionary<string, (string Route, string Transforms)>(StringComparer.OrdinalIgnoreCase);
        foreach (var route in routes)
        {
            if (RoutePolicy.NameOf(route) is not { } name || !policies.TryGetValue(name, out var policy) || policy.Probe is not { } probe)
            {
                continue;
            }

            var path = $"{section}:Routes:{route.RouteId}:Transforms";
            var transforms = route.Transforms ?? [];
            for (var i = 0; i < transforms.Count; i++)
            {
                CheckTransform($"{path}:{i}", transforms[i], policy.Name, probe, errors);
            }

            if (probe.PathTransforms == PathTransforms.Skip)
            {
                // One path for all routes of the policy: each of them must lead to the same resources.
                var changes = string.Join(", ", transforms.Where(transform => transform.Keys.Any(key => key.StartsWith("Path", StringComparison.OrdinalIgnoreCase))).Select(transform => Text(KindOf(transform), transform)));
                if (!skipped.TryAdd(policy.Name, (route.RouteId, changes)) && skipped[policy.Name] is var other && other.Transforms != changes)
                {
                    errors.Add(
                        path, changes, $"the transforms of paths of route {other.Route} ({(other.Transforms.Length == 0 ? "none" : other.Transforms)}), because policy {policy.Name} skips them (Uncertain:Probe:PathTransforms) and asks one path for both; write a policy for each");
                }
            }
        }
    }

    private static void CheckTransform(string path, IReadOnlyDictionary<string, string> transform, string policy, ProbePolicy probe, ConfigurationErrors errors)
    {
        var kind = KindOf(transform);
        var value = kind is null ? "" : transform.First(item => Is(item.Key, kind)).Value;
        void Refuse(string expected) => errors.Add(path, Text(kind, transform), $"{expected} (policy {policy}, Uncertain:Probe)");

        switch (kind)
        {
            case null:
                Refuse("a transform of which it is known what it does to a probe");
                break;
            case HttpMethodChange when Is(value, "GET"):
                Refuse("no change of GET, because a probe must be one");
                break;
            case ClientCert when !probe.Headers.Any(header => Is(header.Key, value)):
                Refuse($"no {ClientCert}, because a probe is also asked when the caller's certificate is gone; or a field {value} in Uncertain:Probe:Headers that stands for it");
                break;
            case not null when WholePath.Contains(kind) && probe.PathTransforms != PathTransforms.Skip:
                Refuse($"no {kind}, which would take the place of the probe's path {probe.Path}; or the path as the backend knows it, with Uncertain:Probe:PathTransforms Skip");
                break;
            case PathPrefix when probe.PathTransforms != PathTransforms.Skip:
                CheckPrefix(path, value, policy, probe, errors, Refuse);
                break;
            case not null when Query.Contains(kind) && ParametersOf(probe.Path).Contains(value, StringComparer.OrdinalIgnoreCase):
                Refuse($"no {kind} of {value}, by which the probe asks ({probe.Path})");
                break;
        }
    }

    /// <summary>A path that stands for the backend's own would be prefixed once more, and lead nowhere.</summary>
    private static void CheckPrefix(string path, string value, string policy, ProbePolicy probe, ConfigurationErrors errors, Action<string> refuse)
    {
        var prefix = $"/{value.Trim('/')}";
        if (probe.Path.Text.StartsWith($"{prefix.TrimEnd('/')}/", StringComparison.OrdinalIgnoreCase) && prefix != "/")
        {
            refuse($"a probe's path without {prefix}, which the route puts before it, instead of {probe.Path}; or Uncertain:Probe:PathTransforms Skip");
        }
        else if (probe.PathTransforms is null && prefix != "/")
        {
            errors.Warn(path, $"the probe of policy {policy} goes to {prefix}{probe.Path} as the route's requests do (0.1.0: to {probe.Path}); write Uncertain:Probe:PathTransforms, Apply or Skip");
        }
    }

    /// <summary>Names of the parameters in the query; the template's braces do not stand in names.</summary>
    private static IEnumerable<string> ParametersOf(ProbeTemplate path) => path.Text.IndexOf('?', StringComparison.Ordinal) is >= 0 and var at
        ? path.Text[(at + 1)..].Split('&').Select(parameter => Uri.UnescapeDataString(parameter.Split('=')[0]))
        : [];

    private static string? KindOf(IReadOnlyDictionary<string, string> transform) =>
        ((string[])[.. CarriedOver, .. WholePath, .. Query, ClientCert, HttpMethodChange]).FirstOrDefault(kind => transform.Keys.Any(key => Is(key, kind)));

    /// <summary>Without what is set, which may be a credential.</summary>
    private static string Text(string? kind, IReadOnlyDictionary<string, string> transform) =>
        kind is null ? string.Join(", ", transform.Keys) : $"{kind} {transform.First(item => Is(item.Key, kind)).Value}";

    private static bool Is(string name, string other) => name.Equals(other, StringComparison.OrdinalIgnoreCase);
}
