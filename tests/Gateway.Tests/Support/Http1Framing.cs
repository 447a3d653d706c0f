namespace Gateway.Tests.Support;

/// <summary>How a message says where its body ends (RFC 9112, section 6.3).</summary>
public enum Http1Framing
{
    None,
    ContentLength,
    Chunked,

    /// <summary>The body ends with the connection, so that a cut one looks whole.</summary>
    Close,
}
