using System.Diagnostics;
using System.Globalization;

namespace Gateway.Tests.Support;

/// <summary>A disk of a size that a test can fill, mounted for as long as the test lasts.</summary>
internal sealed class Tmpfs : IAsyncDisposable
{
    private const int SizeInBytes = 1024 * 1024;

    private static readonly Lazy<bool> MayMount = new(TryAsync().GetAwaiter().GetResult);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-tmpfs-");

    private Tmpfs()
    {
    }

    public static bool IsAllowed => MayMount.Value;

    public string Path => _directory.FullName;

    private string Ballast => System.IO.Path.Combine(Path, "ballast");

    /// <summary>One megabyte.</summary>
    public static async Task<Tmpfs> MountAsync()
    {
        var disk = new Tmpfs();
        var options = string.Create(CultureInfo.InvariantCulture, $"size={SizeInBytes}");
        if (await RunAsync("mount", "-t", "tmpfs", "-o", options, "tmpfs", disk.Path) == 0)
        {
            return disk;
        }

        disk._directory.Delete();
        throw new InvalidOperationException("The tmpfs could not be mounted.");
    }

    /// <summary>Leaves no byte free.</summary>
    public async Task FillAsync()
    {
        try
        {
            await File.WriteAllBytesAsync(Ballast, new byte[2 * SizeInBytes]);
        }
        catch (IOException)
        {
            // Full, as wanted.
        }
    }

    public void Empty() => File.Delete(Ballast);

    public async ValueTask DisposeAsync()
    {
        await RunAsync("umount", Path);
        _directory.Delete();
    }

    private static async Task<bool> TryAsync()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess)
        {
            return false;
        }

        try
        {
            await using var disk = await MountAsync();
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private static async Task<int> RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
