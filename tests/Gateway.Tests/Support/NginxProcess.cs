using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;

namespace Gateway.Tests.Support;

/// <summary>An nginx of one test, on loopback, that ends TLS as its documentation shows.</summary>
internal sealed class NginxProcess : IAsyncDisposable
{
    private static readonly string? Program = ((string[])["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"]).FirstOrDefault(File.Exists);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("gateway-nginx-");
    private readonly int _port = LoopbackPorts.Reserve();
    private readonly string _site;
    private readonly X509Certificate2 _authority;
    private Process? _process;

    private NginxProcess(TestAuthority authority, string site)
    {
        (_site, _authority) = (site, X509CertificateLoader.LoadCertificateFromFile(authority.CaFile));
    }

    /// <summary>Null when there is one. In continuous integration there must be.</summary>
    public static string? SkipReason => Program is not null || RedisInstallation.IsContinuousIntegration ? null : "nginx is missing: install Debian's nginx-light (./test.sh does).";

    public string Url => string.Create(CultureInfo.InvariantCulture, $"https://{_site}:{_port}");

    public static async Task<NginxProcess> StartAsync(TestAuthority authority, string site, string gateway)
    {
        var nginx = new NginxProcess(authority, site);
        var (certificate, key) = authority.Issue("nginx", isExpired: false, site);
        var folder = nginx._directory.FullName;
        var file = Path.Combine(folder, "nginx.conf");
        await File.WriteAllTextAsync(file, $$"""
            daemon off;
            master_process off;
            pid {{folder}}/nginx.pid;
            error_log {{folder}}/error.log;
            events { worker_connections 64; }
            http {
              access_log off;
              client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy; fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
              server {
                listen 127.0.0.1:{{nginx._port}} ssl;
                server_name {{site}};
                ssl_certificate {{certificate}};
                ssl_certificate_key {{key}};
                location / {
                  proxy_pass {{gateway}};
                  proxy_set_header Host $host;
                  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                  proxy_set_header X-Forwarded-Proto $scheme;
                  proxy_set_header X-Forwarded-Host $host;
                }
              }
            }
            """);
        return await Starting.OrDisposedAsync(nginx, () => nginx.RunAsync(file));
    }

    /// <summary>One that finds the site here, and checks its certificate.</summary>
    public HttpClient NewClient() => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        UseProxy = false,
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, _port), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
        SslOptions = new() { CertificateChainPolicy = new() { TrustMode = X509ChainTrustMode.CustomRootTrust, CustomTrustStore = { _authority }, RevocationMode = X509RevocationMode.NoCheck } },
    })
    {
        Timeout = Bounds.Wait,
    };

    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            await ChildProcesses.KillAsync(process);
        }

        _authority.Dispose();
        _directory.Delete(recursive: true);
    }

    private async Task RunAsync(string file)
    {
        var start = new ProcessStartInfo(Program ?? throw new InvalidOperationException("nginx is missing."), ["-p", _directory.FullName, "-c", file])
        {
            RedirectStandardError = true,
            RedirectStandardOutput = true,
        };
        _process = ChildProcesses.Start(start);
        await Eventually.TrueAsync(
            async () =>
            {
                using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                try
                {
                    await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, _port));
                    return true;
                }
                catch (SocketException)
                {
                    return _process.HasExited ? throw new InvalidOperationException($"nginx ended: {await _process.StandardError.ReadToEndAsync()}") : false;
                }
            },
            "nginx listens");
    }
}
