using System.Diagnostics;
using Gateway.Tests.EndToEnd;
using Gateway.Tests.Support;
using Xunit;

namespace Gateway.Tests.Faults;

/// <summary>What others notice while somebody floods a gateway: how they are served, and what it takes of the machine.</summary>
internal static class Neighbours
{
    /// <summary>Sends keyed requests, one after the other, each of which must be a first one that is answered; how many, and the slowest.</summary>
    /// <param name="urls">In turn.</param>
    /// <param name="body">Of each.</param>
    /// <param name="stop">Ends it.</param>
    public static async Task<(int Count, TimeSpan Slowest)> ServeAsync(string[] urls, string body, CancellationToken stop)
    {
        using var client = KeyedRequests.NewClient();
        var (count, slowest) = (0, TimeSpan.Zero);
        for (; !stop.IsCancellationRequested; count++)
        {
            var clock = Stopwatch.StartNew();
            var answer = await KeyedRequests.PostAsync(client, urls[count % urls.Length], EmbeddedGateway.NewKey(), body, cancellation: CancellationToken.None);
            Assert.Equal(201, answer.Status);
            slowest = clock.Elapsed > slowest ? clock.Elapsed : slowest;
            await Task.Delay(20, CancellationToken.None);
        }

        return (count, slowest);
    }

    /// <summary>The most memory that a process has, in bytes (its resident set).</summary>
    public static async Task<long> PeakMemoryAsync(int pid, CancellationToken stop)
    {
        using var process = Process.GetProcessById(pid);
        var peak = 0L;
        while (!stop.IsCancellationRequested)
        {
            process.Refresh();
            peak = Math.Max(peak, process.WorkingSet64);
            await Task.Delay(50, CancellationToken.None);
        }

        return peak;
    }
}
