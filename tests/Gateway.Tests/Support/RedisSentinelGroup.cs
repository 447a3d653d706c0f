using System.Diagnostics;
using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>Three Sentinels that watch one master and promote its replica about two seconds after it died.</summary>
internal sealed class RedisSentinelGroup : IAsyncDisposable
{
    private const int Count = 3;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-sentinel-");
    private readonly List<(Process Process, int Port)> _sentinels = [];
    private readonly string _service;

    private RedisSentinelGroup(string service)
    {
        _service = service;
    }

    /// <summary>Of all of them.</summary>
    public string Configuration => string.Join(',', _sentinels.Select(sentinel => string.Create(CultureInfo.InvariantCulture, $"127.0.0.1:{sentinel.Port}")));

    /// <param name="service">What they call the master.</param>
    /// <param name="master">As <c>host:port</c>.</param>
    /// <param name="settings">More lines of their configuration.</param>
    public static Task<RedisSentinelGroup> StartAsync(string service, string master, params string[] settings)
    {
        var group = new RedisSentinelGroup(service);
        return Starting.OrDisposedAsync(group, () => group.StartAllAsync(master, settings));
    }

    /// <summary>Where the first Sentinel says that the master is.</summary>
    public async Task<string> MasterAsync() =>
        (await CommandAsync(_sentinels[0].Port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", _service)).Replace('\n', ':');

    public Task<string> CommandAsync(params string[] command) => CommandAsync(_sentinels[0].Port, command);

    public async ValueTask DisposeAsync()
    {
        foreach (var (process, _) in _sentinels)
        {
            await ChildProcesses.KillAsync(process);
        }

        _directory.Delete(recursive: true);
    }

    private async Task StartAllAsync(string master, string[] settings)
    {
        for (var i = 0; i < Count; i++)
        {
            var port = LoopbackPorts.Reserve();
            var folder = _directory.CreateSubdirectory($"{i}").FullName;
            var file = Path.Combine(folder, "sentinel.conf");
            await File.WriteAllLinesAsync(file,
            [
                $"port {port}", "bind 127.0.0.1", $"dir {folder}", $"logfile {folder}/sentinel.log",
                $"sentinel monitor {_service} {master.Replace(':', ' ')} 2",
                $"sentinel down-after-milliseconds {_service} 1000",
                $"sentinel failover-timeout {_service} 5000",
                .. settings,
            ]);
            _sentinels.Add((ChildProcesses.Start(new ProcessStartInfo(RedisInstallation.RequireServer(), [file, "--sentinel"])), port));
        }

        foreach (var (_, port) in _sentinels)
        {
            await Eventually.TrueAsync(() => KnowsAllAsync(port, settings), "the Sentinels know each other and the replica");
        }
    }

    private async Task<bool> KnowsAllAsync(int port, string[] settings)
    {
        try
        {
            if (settings.Length > 0)
            {
                return await CommandAsync(port, "PING") is not ""; // locked: it cannot be asked, and no failover is made with it
            }

            var known = (await CommandAsync(port, "SENTINEL", "MASTER", _service)).Split('\n');
            return known[Array.IndexOf(known, "num-other-sentinels") + 1] == "2" && known[Array.IndexOf(known, "num-slaves") + 1] == "1";
        }
        catch (InvalidOperationException e)
        {
            return settings.Length > 0 && e.Message.Contains("NOAUTH", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or System.Net.Sockets.SocketException)
        {
            return false;
        }
    }

    private static async Task<string> CommandAsync(int port, params string[] command)
    {
        using var deadline = new CancellationTokenSource(Bounds.Wait);
        return await RespConnection.CallAsync("127.0.0.1", port, password: null, command, deadline.Token);
    }
}
