namespace Gateway.Telemetry;

/// <summary>
/// What is sent by OTLP, by OpenTelemetry's own variables. OpenTelemetry sends everything to localhost unless told not to; a gateway that
/// nobody set up for telemetry must stay silent, so here an address, or the exporter's name, has to be given. Log lines stand on the
/// standard output already and are sent on demand only.
/// </summary>
/// <param name="Traces">Spans of requests.</param>
/// <param name="Metrics">Measurements.</param>
/// <param name="Logs">Log lines.</param>
/// <param name="Warnings">What was asked for and cannot be done. They repeat no value: an address may have a password in it.</param>
internal sealed record ExportedSignals(bool Traces, bool Metrics, bool Logs, IReadOnlyList<string> Warnings)
{
    private const string AnyEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";
    private const string AnyProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL";

    public bool Any => Traces || Metrics || Logs;

    /// <param name="variables">The environment.</param>
    public static ExportedSignals Read(IConfiguration variables)
    {
        var warnings = new List<string>();
        if (string.Equals(variables["OTEL_SDK_DISABLED"], "true", StringComparison.OrdinalIgnoreCase))
        {
            return new(false, false, false, warnings);
        }

        var signals = new ExportedSignals(
            IsExported(variables, "TRACES", byAddress: true, warnings),
            IsExported(variables, "METRICS", byAddress: true, warnings),
            IsExported(variables, "LOGS", byAddress: false, warnings),
            warnings);
        return signals with { Warnings = [.. warnings.Distinct()] };
    }

    /// <param name="variables">The environment.</param>
    /// <param name="signal">As it stands in names of variables.</param>
    /// <param name="byAddress">An address is enough; else the exporter must be named.</param>
    /// <param name="warnings">Taken down here.</param>
    private static bool IsExported(IConfiguration variables, string signal, bool byAddress, List<string> warnings)
    {
        var (ownEndpoint, exporter) = ($"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", $"OTEL_{signal}_EXPORTER");
        var endpoint = IsSet(variables, ownEndpoint) ? ownEndpoint : IsSet(variables, AnyEndpoint) ? AnyEndpoint : null;
        var isWanted = byAddress && endpoint is not null;
        if (IsSet(variables, exporter))
        {
            var names = variables[exporter]!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
            isWanted = names.Contains("otlp", StringComparer.Ordinal);
            if (names.Except(["otlp", "none"], StringComparer.Ordinal).Any())
            {
                warnings.Add($"{exporter} names an exporter that the gateway does not have; it has otlp and none");
            }
        }

        if (!isWanted)
        {
            return false;
        }

        var ownProtocol = $"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL";
        var protocol = IsSet(variables, ownProtocol) ? ownProtocol : AnyProtocol;
        if (IsSet(variables, protocol) && variables[protocol] is not ("grpc" or "http/protobuf"))
        {
            warnings.Add($"{protocol} names a protocol that the gateway does not have, and grpc is used; it has grpc and http/protobuf");
        }

        if (endpoint is null || (Uri.TryCreate(variables[endpoint], UriKind.Absolute, out var address) && address.Scheme is "http" or "https"))
        {
            return true;
        }

        warnings.Add($"{endpoint} is not an address such as http://127.0.0.1:4317; nothing is sent there");
        return false;
    }

    /// <summary>An empty variable is one that is not set.</summary>
    private static bool IsSet(IConfiguration variables, string name) => !string.IsNullOrWhiteSpace(variables[name]);
}
