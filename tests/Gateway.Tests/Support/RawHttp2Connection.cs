using System.Buffers.Binary;
using System.Text;

namespace Gateway.Tests.Support;

/// <summary>A request as its HEADERS frame stood on the wire. .NET writes header fields without compression, so that they can be searched.</summary>
public sealed record RawHttp2Request(int Connection, int Stream, string HeaderBlock);

/// <summary>
/// The backend's end of one HTTP/2 connection without TLS (RFC 9113), frame by frame, for what no server would do. It knows as much as
/// it takes to read requests one after another.
/// </summary>
public sealed class RawHttp2Connection
{
    /// <summary>Error codes, RFC 9113, section 7.</summary>
    public const int RefusedStream = 7;

    public const int Http11Required = 13;

    private const int PrefaceLength = 24;
    private const int FrameHeaderLength = 9;
    private const byte Data = 0;
    private const byte Headers = 1;
    private const byte RstStream = 3;
    private const byte Settings = 4;
    private const byte GoAway = 7;

    /// <summary>Of SETTINGS; the same bit ends a stream in DATA and HEADERS.</summary>
    private const byte Ack = 1;
    private const byte EndStream = 1;
    private const byte EndHeaders = 4;

    private readonly RawConnection _connection;
    private readonly Ledger<RawHttp2Request> _arrivals;

    private RawHttp2Connection(RawConnection connection, Ledger<RawHttp2Request> arrivals)
    {
        (_connection, _arrivals) = (connection, arrivals);
    }

    /// <param name="connection">Accepted, nothing read yet.</param>
    /// <param name="arrivals">Gets every request as soon as its HEADERS frame is here, whether its body follows or not.</param>
    public static async Task<RawHttp2Connection> AcceptAsync(RawConnection connection, Ledger<RawHttp2Request> arrivals)
    {
        await connection.ReadBytesAsync(PrefaceLength);
        var http2 = new RawHttp2Connection(connection, arrivals);
        await http2.SendFrameAsync(Settings, 0, 0, []);
        return http2;
    }

    /// <summary>The next request, when its body has ended.</summary>
    /// <exception cref="EndOfStreamException">The peer closed instead.</exception>
    public async Task<RawHttp2Request> ReadRequestAsync()
    {
        RawHttp2Request? request = null;
        while (true)
        {
            var (type, flags, stream, payload) = await ReadFrameAsync();
            switch (type)
            {
                case Settings when (flags & Ack) == 0:
                    await SendFrameAsync(Settings, Ack, 0, []);
                    break;
                case Headers:
                    request = new RawHttp2Request(_connection.Number, stream, Encoding.Latin1.GetString(payload));
                    _arrivals.Add(request);
                    break;
            }

            if (request is not null && type is Headers or Data && (flags & EndStream) != 0)
            {
                return request;
            }
        }
    }

    /// <summary>200 without a body: the indexed field 8 of HPACK's static table (RFC 7541, appendix A).</summary>
    public Task SendOkAsync(RawHttp2Request request) => SendFrameAsync(Headers, EndStream | EndHeaders, request.Stream, [0x88]);

    /// <summary>RST_STREAM.</summary>
    public Task ResetStreamAsync(RawHttp2Request request, int error) => SendFrameAsync(RstStream, 0, request.Stream, BigEndian(error));

    /// <summary>GOAWAY without an error.</summary>
    /// <param name="lastStream">Requests on later streams were not processed, it says.</param>
    public Task GoAwayAsync(int lastStream) => SendFrameAsync(GoAway, 0, 0, [.. BigEndian(lastStream), .. BigEndian(0)]);

    private async Task<(byte Type, byte Flags, int Stream, byte[] Payload)> ReadFrameAsync()
    {
        var header = await _connection.ReadBytesAsync(FrameHeaderLength);
        var payload = await _connection.ReadBytesAsync((header[0] << 16) | (header[1] << 8) | header[2]);
        return (header[3], header[4], BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(5)), payload);
    }

    private Task SendFrameAsync(byte type, byte flags, int stream, byte[] payload) =>
        _connection.SendAsync((byte[])[0, 0, (byte)payload.Length, type, flags, .. BigEndian(stream), .. payload]);

    private static byte[] BigEndian(int number)
    {
        var bytes = new byte[sizeof(int)];
        BinaryPrimitives.WriteInt32BigEndian(bytes, number);
        return bytes;
    }
}
