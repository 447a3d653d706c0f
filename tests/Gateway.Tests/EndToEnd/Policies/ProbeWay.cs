namespace Gateway.Tests.EndToEnd.Policies;

/// <summary>A route by which requests reach a site of the backend, and how a client uses it.</summary>
/// <param name="Name">Of the route, the policy and the cluster; paths begin with it.</param>
/// <param name="Transforms">Of the route.</param>
internal sealed record ProbeWay(string Name, params Dictionary<string, string>[] Transforms)
{
    /// <summary>Of the destination.</summary>
    public string? Host { get; init; }

    /// <summary>Stands at the end of the client's path, for the route's value of this name.</summary>
    public string? Tenant { get; init; }

    /// <summary>Without its query; by default the path of requests.</summary>
    public string? ProbePath { get; init; }

    public string? PathTransforms { get; init; }

    public Dictionary<string, string>? ProbeHeaders { get; init; }

    /// <summary>By the client.</summary>
    public (string Name, string Value)[] Sent { get; init; } = [];

    public string ClientPath => $"/{Name}/payments{Tenant}";

    /// <summary>As it stands in a configuration.</summary>
    public object Policy => new
    {
        Uncertain = new
        {
            Retries = "Probe",
            Probe = new
            {
                Path = $"{ProbePath ?? $"/{Name}/payments"}?ref={{key}}",
                PathTransforms,
                Headers = ProbeHeaders,
                Match = new { Json = new Dictionary<string, string> { ["/reference"] = "{key}" } },
            },
        },
    };

    /// <summary>As it stands in a configuration.</summary>
    public object Route => new
    {
        ClusterId = Name,
        Match = new { Path = $"/{Name}/payments{(Tenant is null ? "" : "/{tenant}")}" },
        Transforms,
        Metadata = new { Idempotency = Name },
    };
}
