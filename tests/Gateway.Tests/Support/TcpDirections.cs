namespace Gateway.Tests.Support;

/// <summary>Which way bytes travel through a <see cref="TcpProxy"/>.</summary>
[Flags]
public enum TcpDirections
{
    None = 0,
    ToServer = 1,

    /// <summary>Black-holed alone, commands are executed and their replies are lost.</summary>
    ToClient = 2,
    Both = ToServer | ToClient,
}
