namespace Gateway.Tests.Faults;

/// <summary>One input and what must become of it.</summary>
/// <param name="Name">What is wrong with it, or odd.</param>
/// <param name="Status">The answer's; where the standard leaves a choice, the gateway's choice.</param>
/// <param name="Request">The bytes, as Latin-1. <c>PATH</c>, <c>KEY</c> and <c>HOST</c> are filled in; all three are unlike those of any other input.</param>
/// <param name="Arrivals">How many requests the backend sees.</param>
internal sealed record BadInput(string Name, int Status, string Request, int Arrivals = 0)
{
    private const string Start = "POST PATH HTTP/1.1\r\nHost: HOST\r\n";
    private const string KeyLine = "Idempotency-Key: KEY\r\n";

    /// <summary>A keyed POST with these lines, each ended by CR LF, between its other header lines and its body.</summary>
    public static BadInput WithLines(string name, int status, string lines, int arrivals = 0) =>
        new(name, status, $"{Start}{KeyLine}{lines}Content-Length: 2\r\n\r\n{{}}", arrivals);

    /// <summary>A keyed POST that says how long its body is with these lines.</summary>
    public static BadInput WithFraming(string name, int status, string lines, string body, int arrivals = 0) =>
        new(name, status, $"{Start}{KeyLine}{lines}\r\n{body}", arrivals);

    /// <param name="chunks">The whole body as it goes over the wire.</param>
    public static BadInput WithChunks(string name, int status, string chunks, int arrivals = 0) =>
        WithFraming(name, status, "Transfer-Encoding: chunked\r\n", chunks, arrivals);

    /// <summary>A POST whose key is written in this way.</summary>
    public static BadInput WithKeyLines(string name, int status, string lines, int arrivals = 0) =>
        new(name, status, $"{Start}{lines}Content-Length: 2\r\n\r\n{{}}", arrivals);

    /// <summary>A keyed request that begins in this way, up to and with its Host line.</summary>
    public static BadInput WithStart(string name, int status, string start, int arrivals = 0) =>
        new(name, status, $"{start}{KeyLine}Content-Length: 2\r\n\r\n{{}}", arrivals);
}
