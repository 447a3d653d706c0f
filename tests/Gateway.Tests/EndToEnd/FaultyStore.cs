using Gateway.Tests.Support;

namespace Gateway.Tests.EndToEnd;

/// <summary>A store's server of a test's own, which the test takes away and brings back.</summary>
public abstract class FaultyStore : IAsyncDisposable
{
    /// <summary><c>host:port</c>, to be put behind a proxy.</summary>
    public abstract string Endpoint { get; }

    /// <summary>The section <c>Store</c> of a gateway that reaches the server at <paramref name="endpoint"/>, its own or a proxy's.</summary>
    public abstract object Section(string endpoint);

    public abstract Task StartAsync();

    /// <summary>SIGKILL.</summary>
    public abstract Task StopAsync();

    /// <summary>SIGSTOP: nothing is answered until <see cref="ResumeAsync"/>, and then what was sent meanwhile is executed.</summary>
    public abstract Task PauseAsync();

    public abstract Task ResumeAsync();

    /// <summary>How many records it keeps, and a constant more.</summary>
    public abstract Task<long> CountRecordsAsync();

    /// <summary>As if it had lost its records, and another owner had claimed every key.</summary>
    public abstract Task GiveAwayAsync();

    /// <summary>What it takes for the time.</summary>
    public abstract Task<DateTimeOffset> ReadClockAsync();

    public abstract ValueTask DisposeAsync();

    /// <summary>From its next start on.</summary>
    internal abstract void LiveBy(FakeClock clock);
}
