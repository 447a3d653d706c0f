# The gateway as a container: non-root, works with a read-only root file system (writable: /data, /tmp). See docs/operations.md.
#   docker build -t idempotency-gateway .
#   docker run --read-only --tmpfs /tmp --stop-timeout 30 -p 8080:8080 -v "$PWD/config:/app/config:ro" -v keys:/data idempotency-gateway

FROM --platform=$BUILDPLATFORM mcr.microsoft.com/dotnet/sdk:10.0 AS build
WORKDIR /source

# First what restoring needs, so that a change of the source does not restore again. Versions are those of the lock file, or it fails.
COPY global.json Directory.Build.props Directory.Packages.props .editorconfig BannedSymbols.txt ./
COPY src/Idempotency.Yarp/Idempotency.Yarp.csproj src/Idempotency.Yarp/packages.lock.json src/Idempotency.Yarp/
COPY src/Gateway/Gateway.csproj src/Gateway/packages.lock.json src/Gateway/
COPY src/Idempotency.Storage/Idempotency.Storage.csproj src/Idempotency.Storage/packages.lock.json src/Idempotency.Storage/
COPY src/Idempotency.Storage.Sqlite/Idempotency.Storage.Sqlite.csproj src/Idempotency.Storage.Sqlite/packages.lock.json src/Idempotency.Storage.Sqlite/
COPY src/Idempotency.Storage.Redis/Idempotency.Storage.Redis.csproj src/Idempotency.Storage.Redis/packages.lock.json src/Idempotency.Storage.Redis/
COPY src/Idempotency.Storage.Postgres/Idempotency.Storage.Postgres.csproj src/Idempotency.Storage.Postgres/packages.lock.json src/Idempotency.Storage.Postgres/
RUN dotnet restore src/Gateway --locked-mode

COPY src/ src/
# Portable output: one build for every architecture. Native libraries of other systems are left out.
RUN dotnet publish src/Gateway -c Release --no-restore -p:UseAppHost=false -o /app \
 && find /app/runtimes -mindepth 1 -maxdepth 1 ! -name linux-x64 ! -name linux-arm64 -exec rm -r {} +

FROM mcr.microsoft.com/dotnet/aspnet:10.0
WORKDIR /app
COPY --from=build /app ./
RUN mkdir config /data && chown $APP_UID:$APP_UID /data
USER $APP_UID

# Traffic on all interfaces. Admin stays on loopback (127.0.0.1:9091), where the health check asks it.
# Diagnostics would write to /tmp and cannot be used with a read-only file system anyway.
ENV ASPNETCORE_URLS=http://0.0.0.0:8080 \
    Store__Embedded__Path=/data/idempotency.db \
    DOTNET_EnableDiagnostics=0

VOLUME /data
EXPOSE 8080

# The image has neither curl nor wget: the gateway asks itself.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["dotnet", "Gateway.dll", "health"]

# The configuration is /app/config/routes.json; mount its folder.
ENTRYPOINT ["dotnet", "Gateway.dll"]
CMD ["run"]
