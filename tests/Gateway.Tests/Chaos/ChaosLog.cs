using Xunit.Abstractions;

namespace Gateway.Tests.Chaos;

/// <summary>Progress for the test's output, which is shown when the test is over, and for a file that can be followed meanwhile.</summary>
internal sealed class ChaosLog(string? file, ITestOutputHelper output) : IAsyncDisposable
{
    private readonly StreamWriter? _file = file is null ? null : new StreamWriter(file, append: true) { AutoFlush = true };

    public void Write(string text)
    {
        output.WriteLine(text);
        _file?.WriteLine(text);
    }

    public ValueTask DisposeAsync() => _file?.DisposeAsync() ?? default;
}
