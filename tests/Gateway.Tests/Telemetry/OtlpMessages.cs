using System.Globalization;
using System.Text;

namespace Gateway.Tests.Telemetry;

/// <summary>Reads what OTLP exporters send (opentelemetry-proto, collector services version 1).</summary>
internal static class OtlpMessages
{
    private const int Resources = 1, Resource = 1, Scopes = 2, Scope = 1, Items = 2, Name = 1;

    public static IEnumerable<OtlpSpan> Spans(ReadOnlyMemory<byte> request) =>
        from item in ItemsOf(request)
        let fields = ProtobufFields.Of(item.Bytes)
        select new OtlpSpan(item.Service, item.Scope, Hex(fields, 1), Hex(fields, 2), Hex(fields, 4), Text(fields, 5), Attributes(fields, 9));

    public static IEnumerable<OtlpPoint> Points(ReadOnlyMemory<byte> request)
    {
        foreach (var (service, scope, bytes) in ItemsOf(request))
        {
            var metric = ProtobufFields.Of(bytes);
            foreach (var data in metric.Where(field => field.Number is 5 or 7 or 9)) // gauge, sum, histogram
            {
                var isHistogram = data.Number == 9;
                foreach (var point in ProtobufFields.At(data.Bytes, 1).Select(ProtobufFields.Of))
                {
                    var value = point.FirstOrDefault(field => field.Number == (isHistogram ? 4 : 6)).Value;
                    yield return new OtlpPoint(service, scope, Text(metric, 1), Text(metric, 3), (long)value, Attributes(point, isHistogram ? 9 : 7));
                }
            }
        }
    }

    /// <summary>The texts of log lines.</summary>
    public static IEnumerable<string> Lines(ReadOnlyMemory<byte> request) =>
        ItemsOf(request).SelectMany(item => ProtobufFields.At(item.Bytes, 5, 1)).Select(text => Encoding.UTF8.GetString(text.Span));

    private static IEnumerable<(string Service, string Scope, ReadOnlyMemory<byte> Bytes)> ItemsOf(ReadOnlyMemory<byte> request) =>
        from resource in ProtobufFields.At(request, Resources)
        let service = Attributes([.. ProtobufFields.At(resource, Resource).SelectMany(ProtobufFields.Of)], 1).GetValueOrDefault("service.name", "")
        from scope in ProtobufFields.At(resource, Scopes)
        let name = Encoding.UTF8.GetString(ProtobufFields.At(scope, Scope, Name).FirstOrDefault().Span)
        from item in ProtobufFields.At(scope, Items)
        select (service, name, item);

    private static Dictionary<string, string> Attributes(IReadOnlyList<ProtobufField> fields, int number) =>
        fields.Where(field => field.Number == number).Select(field => ProtobufFields.Of(field.Bytes))
            .ToDictionary(pair => Text(pair, 1), pair => Value(ProtobufFields.Of(pair.Single(field => field.Number == 2).Bytes)));

    private static string Value(IReadOnlyList<ProtobufField> value) => value switch
    {
        [{ Number: 1 } text] => Encoding.UTF8.GetString(text.Bytes.Span),
        [{ Number: 2 or 3 } number] => number.Value.ToString(CultureInfo.InvariantCulture),
        _ => "(other)",
    };

    private static string Hex(IReadOnlyList<ProtobufField> fields, int number) =>
        Convert.ToHexStringLower(fields.FirstOrDefault(field => field.Number == number).Bytes.Span);

    private static string Text(IReadOnlyList<ProtobufField> fields, int number) =>
        Encoding.UTF8.GetString(fields.FirstOrDefault(field => field.Number == number).Bytes.Span);
}
