using System.Diagnostics;
using Gateway.Tests.Faults;
using Idempotency.Storage;
using Microsoft.Extensions.Hosting;

/// <summary>
/// Runs in a gateway process before its Main, when DOTNET_STARTUP_HOOKS names this assembly: gives the product, as it is built, the deliberate defects
/// that GATEWAY_DEFECTS names, and lets it stall on a signal. The name and the method are the runtime's.
/// </summary>
#pragma warning disable CA1050 // the runtime looks for it outside of any namespace
internal static class StartupHook
#pragma warning restore CA1050
{
    /// <summary>The variable that names the assembly.</summary>
    public const string Variable = "DOTNET_STARTUP_HOOKS";

    /// <summary>The value of that variable.</summary>
    public static string Path => typeof(StartupHook).Assembly.Location;

    public static void Initialize()
    {
        Stall.OnSignal();
        DiagnosticListener.AllListeners.Subscribe(new Observer<DiagnosticListener>(listener =>
        {
            if (listener.Name == "Microsoft.Extensions.Hosting")
            {
                listener.Subscribe(new Observer<KeyValuePair<string, object?>>(Hosting));
            }
        }));
    }

    /// <summary>A host is about to be built: its services are all there, and can still be changed. The process has others, for admin and metrics.</summary>
    private static void Hosting(KeyValuePair<string, object?> happened)
    {
        if (happened is { Key: "HostBuilding", Value: IHostBuilder builder })
        {
            builder.ConfigureServices((_, services) =>
            {
                if (services.Any(service => service.ServiceType == typeof(IIdempotencyStore)))
                {
                    Defects.AddTo(services);
                }
            });
        }
    }

    private sealed class Observer<T>(Action<T> next) : IObserver<T>
    {
        public void OnNext(T value) => next(value);

        public void OnCompleted()
        {
        }

        public void OnError(Exception error)
        {
        }
    }
}
