namespace Gateway.Tests.EndToEnd;

/// <summary>
/// Configurations that are wrong, mistyped or misplaced, each with a credential in it somewhere. Every credential has <see cref="Secret"/>
/// in it. Each is a few settings by path, as a file or the environment would give them.
/// </summary>
internal static class WrongConfigurations
{
    public const string Secret = "S3cr3tPart";

    private const string Redis = "Store:Redis:Configuration";
    private const string Postgres = "Store:Postgres:ConnectionString";
    private const string Destination = "ReverseProxy:Clusters:shop:Destinations:one";

    public static IReadOnlyDictionary<string, (string Path, string Value)[]> All { get; } = new Dictionary<string, (string Path, string Value)[]>
    {
        ["a Redis password with a comma"] = OnRedis((Redis, $"127.0.0.1:1,password=ab,{Secret}")),
        ["a Redis password with a comma and a colon"] = OnRedis((Redis, $"127.0.0.1:1,password=ab,{Secret}:77")),
        ["a Redis password in its former place"] = OnRedis((Redis, $"127.0.0.1:1,password={Secret}")),
        ["a Redis password without its name"] = OnRedis((Redis, $"127.0.0.1:1,{Secret}")),
        ["a Redis password under a wrong name"] = OnRedis((Redis, $"127.0.0.1:1,pass={Secret}")),
        ["a Redis password as the name of an option"] = OnRedis((Redis, $"127.0.0.1:1,{Secret}=password")),
        ["a Redis password as a number"] = OnRedis((Redis, $"127.0.0.1:1,configCheckSeconds={Secret}")),
        ["a Redis password as a command"] = OnRedis((Redis, $"127.0.0.1:1,${Secret}=x")),
        ["a Redis user's and password"] = OnRedis((Redis, $"127.0.0.1:1,user=me,password={Secret},ssl=true")),
        ["a Redis URL"] = OnRedis((Redis, $"redis://me:{Secret}@127.0.0.1:1")),
        ["a Redis URL with an encoded @"] = OnRedis((Redis, $"rediss://:{Secret}%40@127.0.0.1:1/0")),
        ["a Redis host with a password before it"] = OnRedis((Redis, $"{Secret}@127.0.0.1:1")),
        ["a Redis string with semicolons"] = OnRedis((Redis, $"127.0.0.1:1;password={Secret}")),
        ["a Redis string as the whole section"] = [("Store:Kind", "Redis"), ("Store:Redis", $"127.0.0.1:1,password={Secret}")],
        ["a Redis string as the kind"] = [("Store:Kind", $"127.0.0.1:1,password={Secret}")],
        ["a Redis URL as the kind"] = [("Store:Kind", $"redis://:{Secret}@127.0.0.1:1")],
        ["a Redis user without the password"] = OnRedis(("Store:Redis:User", $"{Secret}")),
        ["two Redis passwords"] = OnRedis(("Store:Redis:Password", Secret), ("Store:Redis:PasswordFile", "/no/such/file")),
        ["a Redis password as the file"] = OnRedis(("Store:Redis:PasswordFile", Secret)),
        ["a Redis password as the server's name"] = OnRedis(("Store:Redis:Tls:Enabled", "true"), ("Store:Redis:Tls:ServerName", $"me:{Secret}@redis")),
        ["a Redis password for Sentinels without a service"] = OnRedis(("Store:Redis:Sentinel:Password", Secret)),
        ["a Redis password that nobody asks for"] = OnRedis((Redis, "127.0.0.1:1"), ("Store:Redis:Password", Secret)),
        ["a Redis password under an unknown setting"] = OnRedis(("Store:Redis:Passwort", Secret)),
        ["a PostgreSQL password with a semicolon"] = OnPostgres((Postgres, $"Host=127.0.0.1;Port=1;Database=x;Password=ab;{Secret}=1")),
        ["a PostgreSQL password with a semicolon, at the end"] = OnPostgres((Postgres, $"Host=127.0.0.1;Port=1;Database=x;Password=ab;{Secret}")),
        ["a PostgreSQL password in the host"] = OnPostgres((Postgres, $"Host=me:{Secret}@127.0.0.1;Port=1;Database=x")),
        ["a PostgreSQL password in the database"] = OnPostgres((Postgres, $"Host=127.0.0.1;Port=1;Database=x password={Secret}")),
        ["a PostgreSQL password as the port"] = OnPostgres((Postgres, $"Host=127.0.0.1;Port={Secret};Database=x")),
        ["a PostgreSQL password as a choice"] = OnPostgres((Postgres, $"Host=127.0.0.1;Database=x;Target Session Attributes={Secret}")),
        ["a PostgreSQL URL"] = OnPostgres((Postgres, $"postgres://me:{Secret}@127.0.0.1:1/x")),
        ["a PostgreSQL string in libpq's form"] = OnPostgres((Postgres, $"host=127.0.0.1 port=1 dbname=x password={Secret}")),
        ["a PostgreSQL string as the whole section"] = [("Store:Kind", "Postgres"), ("Store:Postgres", $"Host=127.0.0.1;Database=x;Password={Secret}")],
        ["a backend's address with a password"] = [($"{Destination}:Address", $"http://me:{Secret}@127.0.0.1:1/")],
        ["a backend's address that is none"] = [($"{Destination}:Address", $"htp//me:{Secret}@127.0.0.1:1/")],
        ["a backend's address of another kind"] = [($"{Destination}:Address", $"ftp://me:{Secret}@127.0.0.1:1/?token={Secret}")],
        ["a backend's health address with a password"] = [($"{Destination}:Health", $"http://me:{Secret}@127.0.0.1:1/")],
        ["Admin's address with a password"] = [("Admin:Urls", $"http://me:{Secret}@127.0.0.1:0")],
        ["Admin's address off loopback with a password"] = [("Admin:Urls", $"http://me:{Secret}@10.0.0.1:9091")],
        ["Admin's token as an address"] = [("Admin:Urls", $"Bearer {Secret}")],
        ["an authority with a password"] = [("Authentication:Jwt:Authority", $"http://me:{Secret}@login.example/"), ("Authentication:Jwt:Audience", "shop")],
        ["an authority that is none"] = [("Authentication:Jwt:Authority", $"me:{Secret}@login.example"), ("Authentication:Jwt:Audience", "shop")],
        ["a sealing key in the place of its id"] = [("Idempotency:Encryption:ActiveKey", $"{Secret}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")],
        ["a sealing key as the name of a key"] = [($"Idempotency:Encryption:Keys:{Secret}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "2026"), ("Idempotency:Encryption:ActiveKey", "2026")],
        ["a secret that is too short"] = [("Idempotency:Secret", Secret)],
        ["OTLP fields in a wrong form"] = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_HEADERS", $"Authorization {Secret}")],
        ["an OTLP address with a password"] = [("OTEL_EXPORTER_OTLP_ENDPOINT", $"http://me:{Secret}@127.0.0.1:1")],
        ["an OTLP address that is none"] = [("OTEL_EXPORTER_OTLP_ENDPOINT", $"me:{Secret}@collector")],
        ["a listening address with a password"] = [("ASPNETCORE_URLS", $"http://me:{Secret}@127.0.0.1:0")],
        ["a Kestrel end point with a password"] = [("Kestrel:Endpoints:x:Url", $"htp://me:{Secret}@127.0.0.1:0")],
    };

    private static (string, string)[] OnRedis(params (string, string)[] more) => [("Store:Kind", "Redis"), .. more];

    private static (string, string)[] OnPostgres(params (string, string)[] more) => [("Store:Kind", "Postgres"), .. more];
}
