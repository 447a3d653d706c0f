using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Gateway.Admin;
using Gateway.Configuration;
using Gateway.Forwarding;
using Gateway.Telemetry;
using Idempotency.Storage;
using Idempotency.Storage.Postgres;
using Idempotency.Storage.Redis;
using Idempotency.Storage.Sqlite;
using Idempotency.Yarp;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging.Console;
using Microsoft.IdentityModel.Tokens;
using Yarp.ReverseProxy.Configuration;

namespace Gateway;

/// <summary>The only file that knows every area, and the only switch over <c>Store:Kind</c>.</summary>
internal static class ServiceRegistration
{
    /// <summary>Kestrel and logging.</summary>
    public static void AddServer(this WebApplicationBuilder builder, string urls, GatewaySettings settings)
    {
        builder.WebHost.UseKestrel((context, kestrel) =>
        {
            kestrel.Configure(context.Configuration.GetSection("Kestrel"), reloadOnChange: false);
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null; // a proxy has no limit of its own; policies and routes have
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10); // a header section takes a moment, not Kestrel's 30 s
            // Bytes above ASCII in header fields pass through unchanged, in both directions (see BackendClientFactory).
            kestrel.RequestHeaderEncodingSelector = _ => Encoding.Latin1;
            kestrel.ResponseHeaderEncodingSelector = _ => Encoding.Latin1;
        });
        builder.Services.Configure<KestrelServerOptions>(builder.Configuration.GetSection("Kestrel")); // Limits; after the defaults above
        builder.WebHost.UseUrls(urls);
        builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = settings.ShutdownGrace);
        builder.AddConsole();
    }

    private static void AddConsole(this WebApplicationBuilder builder)
    {
        var start = new StartPhase();
        builder.Services.AddSingleton(start);

        // Before the console's own, so that the file can change them.
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.FormatterName = LineFormatter.FormatName);
        builder.Services.Configure<ConsoleFormatterOptions>(format => format.TimestampFormat = LineFormatter.Timestamp);
        builder.Services.Configure<SimpleConsoleFormatterOptions>(format => format.TimestampFormat = LineFormatter.Timestamp);
        builder.Services.Configure<JsonConsoleFormatterOptions>(format => format.TimestampFormat = LineFormatter.Timestamp.TrimEnd());
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.DataProtection", LogLevel.Error) // only YARP's session affinity uses it
            .AddFilter("Microsoft.Extensions.Hosting.Internal.Host", level => level == LogLevel.Critical || (level == LogLevel.Error && start.IsOver) || level == LogLevel.Warning)
            .AddFilter("Microsoft.AspNetCore.Server.Kestrel", level => level >= LogLevel.Warning && (start.IsOver || level != LogLevel.Critical))
            .AddFilter("Yarp", LogLevel.Warning)
            .AddConfiguration(builder.Configuration.GetSection("Logging")) // after the filters, so that the file can change them
            .AddConsole()
            .AddConsoleFormatter<LineFormatter, ConsoleFormatterOptions>();
    }

    /// <summary>Validation of bearer tokens, for routes that ask for it. Claims keep the names that tokens give them.</summary>
    private static void AddTokens(this IServiceCollection services, JwtSettings? settings)
    {
        // No default scheme: tokens are looked at on the routes that ask for it only.
        var authentication = services.AddAuthentication();
        if (settings is null)
        {
            return;
        }

        var keys = settings.KeysFile is null ? null : ReadKeys(settings.KeysFile); // now, not at the first request
        authentication.AddJwtBearer(options =>
        {
            options.MapInboundClaims = false;
            options.BackchannelTimeout = TimeSpan.FromSeconds(10);
            options.Audience = settings.Audience;
            options.Authority = settings.Authority;
            options.RequireHttpsMetadata = settings.Authority?.StartsWith("https:", StringComparison.OrdinalIgnoreCase) is true;
            if (settings.Issuer is not null)
            {
                options.TokenValidationParameters.ValidIssuer = settings.Issuer;
            }

            if (keys is not null)
            {
                options.TokenValidationParameters.IssuerSigningKeys = keys;
            }
        });
    }

    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidOperationException">It has no keys.</exception>
    private static IList<SecurityKey> ReadKeys(string file)
    {
        try
        {
            return JsonWebKeySet.Create(File.ReadAllText(file)).GetSigningKeys() is { Count: > 0 } keys
                ? keys
                : throw new InvalidOperationException($"Authentication:Jwt:KeysFile: {file} has no key that tokens can be signed with.");
        }
        catch (Exception e) when (e is ArgumentException or JsonException)
        {
            throw new InvalidOperationException($"Authentication:Jwt:KeysFile: {file} is not a JSON Web Key Set (RFC 7517).", e);
        }
    }

    /// <summary>Where large answers are kept apart; nothing when they are not.</summary>
    private static void AddAnswersServer(this IServiceCollection services, StoreSettings store)
    {
        if (store.Answers.Kind == AnswersKind.Redis)
        {
            services.AddSingleton(provider => RedisAnswers.Open(store, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<AnswersServer>>()));
            services.AddSingleton(provider => ActivatorUtilities.CreateInstance<AnswersServer>(provider, RedisAnswers.Describe(store)));
            services.AddHostedService(provider => provider.GetRequiredService<AnswersServer>());
        }
    }

    /// <summary>The gateway's own services, and YARP.</summary>
    public static void AddGateway(this WebApplicationBuilder builder, string file, GatewaySettings settings)
    {
        var services = builder.Services;
        builder.AddTelemetryExport();
        services.AddSingleton(settings);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<LiveSettings>(provider, file));
        services.AddHostedService(provider => provider.GetRequiredService<LiveSettings>());
        services.AddSingleton<AdminServer>();
        services.AddHostedService(provider => provider.GetRequiredService<AdminServer>()); // lives, and says why it is not ready, while the store is away
        services.AddAnswersServer(settings.Store);
        services.AddRouting();
        services.AddTokens(settings.Jwt);
        services.AddAuthorization(options => options.DefaultPolicy =
            new AuthorizationPolicyBuilder(JwtBearerDefaults.AuthenticationScheme).RequireAuthenticatedUser().Build());
        services.AddCors();
        var hasProxiesBefore = settings.ForwardedHeaders.TrustedNetworks.Count > 0;
        var proxy = services.AddReverseProxy().AddTransforms(builder =>
        {
            if (hasProxiesBefore)
            {
                TrustedProxies.AddTo(builder);
            }

            RawTargets.AddTo(builder);
        });
        var idempotency = IdempotencyServices.Add(proxy, _ => settings.Idempotency, Encoding.Latin1, passesTraces: true, warnsOfRoutes: false); // as Kestrel reads fields, see AddServer
        _ = settings.Store.Kind switch
        {
            StoreKind.Embedded => idempotency.UseStore<EmbeddedStore>(settings.Store),
            StoreKind.Redis => idempotency.UseStore<RedisStore>(settings.Store),
            StoreKind.Postgres => idempotency.UseStore<PostgresStore>(settings.Store),
            _ => throw new UnreachableException(),
        };
        services.AddSingleton<IProxyConfigProvider>(provider => provider.GetRequiredService<LiveSettings>().Proxy);
    }
}
