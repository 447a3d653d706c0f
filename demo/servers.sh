# Sourced by demo.sh: tools, builds, and the servers that it starts. Uses root, tmp, store and database.
# shellcheck shell=bash

# ---- What is started here ends here: by pid, and with its files ----------------------------------------------------------------------

pids=()      # servers that run
pending=""   # a build, or a server that is not ready yet
folders=()   # to be removed
schemas=()   # made in somebody's PostgreSQL, to be dropped

cleanup() {
  local pid
  local newest_first=""
  for pid in ${pids[@]+"${pids[@]}"} $pending; do newest_first="$pid $newest_first"; done
  for pid in $newest_first; do # whoever uses a server ends before it
    kill "$pid" 2>/dev/null || true
    for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  ((${#schemas[@]} == 0)) || sql "$(dropping)" || true
  rm -rf "${folders[@]}"
}

# ---- Tools and builds ----------------------------------------------------------------------------------------------------------------

install() {  # PACKAGE
  command -v apt-get >/dev/null || die "$1 is needed; please install it"
  echo "Installing $1 ..."
  local as_root=()
  ((EUID == 0)) || as_root=(sudo)
  # A fresh image has no package lists.
  { ${as_root[@]+"${as_root[@]}"} apt-get update -qq && ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$1"; } </dev/null >"$tmp/apt.log" 2>&1 || { tail -n 5 "$tmp/apt.log" >&2; die "could not install $1"; }
}

install_if_missing() {  # COMMAND PACKAGE
  command -v "$1" >/dev/null || install "$2"
}

dll() { echo "$root/src/$1/bin/Release/net10.0/$1.dll"; }

# The stamp covers changed files that do not change the dll, which a build then leaves as old as it was.
is_built() {  # PROJECT
  local output stamp="$root/src/$1/obj/demo.stamp" libraries=()
  [[ $1 == Gateway ]] && libraries=("$root"/src/Idempotency.*)
  output=$(dll "$1")
  [[ -f $output ]] || return 1
  [[ $stamp -nt $output ]] && output=$stamp
  [[ -z $(find "$root/src/$1" "${libraries[@]}" "$root"/Directory.*.props "$root/.editorconfig" "$root/BannedSymbols.txt" "$root/global.json" \
    \( -name bin -o -name obj \) -prune -o -type f -newer "$output" -print -quit) ]]
}

build() {  # PROJECT
  is_built "$1" && return
  local began=$SECONDS
  printf 'Building src/%s ' "$1"
  dotnet build "$root/src/$1" -c Release --nologo --disable-build-servers >"$tmp/build.log" 2>&1 &
  pending=$!
  while kill -0 "$pending" 2>/dev/null; do printf '.'; sleep 1; done
  wait "$pending" || { echo; tail -n 20 "$tmp/build.log" >&2; die "src/$1 does not build"; }
  pending=""
  touch "$root/src/$1/obj/demo.stamp"
  echo " $((SECONDS - began)) s"
}

# ---- Servers, each at a free place that it names itself ------------------------------------------------------------------------------

start() {  # NAME PATTERN-OF-ITS-READY-LINE COMMAND...; sets started_pid and ready (what the pattern matched)
  local name=$1 pattern=$2
  shift 2
  : >"$tmp/$name.log"
  "$@" >"$tmp/$name.log" 2>&1 </dev/null &
  pending=$!
  for _ in {1..300}; do
    ready=$(grep -m1 -oE "$pattern" "$tmp/$name.log" || true)
    if [[ -n $ready ]]; then
      started_pid=$pending
      pids+=("$pending")
      pending=""
      return
    fi
    kill -0 "$pending" 2>/dev/null || break
    sleep 0.1
  done
  return 1
}

start_or_die() { start "$@" || { tail -n 30 "$tmp/$1.log" >&2; die "$1 did not start"; }; }

start_backend() {
  local settings=()
  if [[ $database == postgres ]]; then
    make_schema "idempotency_demo_legacy_$$"
    settings+=("database=postgres" "connection=$connection")
  else
    settings+=("database=$tmp/legacy.db")
  fi
  # A round trip longer than the default keeps look-up and insert apart on a busy machine too, and a slow foreign system is none that fails.
  # The draining job leaves accounts alone long enough for the demo to show what a client left unfinished.
  start_or_die DemoBackend "listening on http://127\.0\.0\.1:[0-9]+" \
    env "${settings[@]}" dotnet "$(dll DemoBackend)" --urls http://127.0.0.1:0 --round-trip 50 --foreign-timeout 20000 \
    --completer-interval 200 --completer-after 8000
  backend=${ready#* on }
  backend_pid=$started_pid
}

start_gateway() {
  local settings=(
    "ReverseProxy__Clusters__legacy__Destinations__one__Address=$backend/"
    "Admin__Urls=http://127.0.0.1:0"
  )
  case $store in
    redis) settings+=("Store__Kind=Redis" "Store__Redis__Configuration=$redis" "Store__Redis__KeyPrefix=idem-demo:") ;;
    postgres)
      make_schema "idempotency_demo_store_$$"
      settings+=("Store__Kind=Postgres" "Store__Postgres__ConnectionString=$connection")
      ;;
    *) settings+=("Store__Kind=Embedded" "Store__Embedded__Path=$tmp/idempotency.db") ;;
  esac
  start_or_die Gateway "Listening on http://127\.0\.0\.1:[0-9]+" \
    env "${settings[@]}" dotnet "$(dll Gateway)" run --config "$root/config/routes.json" --urls http://127.0.0.1:0
  gateway=${ready#* on }
  gateway_pid=$started_pid
}

# ---- Redis ---------------------------------------------------------------------------------------------------------------------------

find_redis() {  # sets redis
  if [[ -n ${REDIS_URL:-} ]]; then redis=$(redis_configuration "$REDIS_URL"); else start_redis; fi
}

start_redis() {
  install_if_missing redis-server redis-server
  local port
  # redis-server cannot pick a free port itself: try until one is.
  for _ in {1..10}; do
    port=$((20000 + RANDOM % 12000))
    mkdir -p "$tmp/redis"
    if start redis "Ready to accept connections" redis-server --port "$port" --bind 127.0.0.1 --dir "$tmp/redis" \
      --save "" --appendonly no --maxmemory-policy noeviction; then
      redis=127.0.0.1:$port
      return
    fi
  done
  tail -n 10 "$tmp/redis.log" >&2
  die "redis-server did not start"
}

# redis://[[user]:password@]host[:port][/...] as StackExchange.Redis writes it; anything else is passed on as it is.
redis_configuration() {  # URL
  [[ $1 =~ ^rediss?:// ]] || { echo "$1"; return; }
  local rest=${1#*://} password="" tls=""
  [[ $1 == rediss://* ]] && tls=",ssl=true"
  rest=${rest%%/*}
  if [[ $rest == *@* ]]; then
    password=${rest%@*}
    password=",password=${password#*:}"
    rest=${rest##*@}
  fi
  [[ $rest == *:* ]] || rest+=":6379"
  echo "$rest$password$tls"
}

# ---- PostgreSQL: where it is stands in the variables that psql knows; Npgsql reads PGUSER and PGPASSWORD too ------------------------------

postgres_programs=""  # the folder of the server's, which Debian keeps out of PATH

find_postgres() {
  if [[ -n ${POSTGRES_URL:-} ]]; then use_postgres_url; else start_postgres; fi
}

use_postgres_url() {
  local form='^postgres(ql)?://([^:/@]+)(:([^/@]*))?@([^]:/?@[]+)(:([0-9]+))?/([^/?]+)(\?sslmode=([a-z-]+))?$'
  [[ $POSTGRES_URL =~ $form ]] ||
    die "POSTGRES_URL wants postgres://USER[:PASSWORD]@HOST[:PORT]/DATABASE, at most with ?sslmode=MODE"
  export PGHOST=${BASH_REMATCH[5]} PGPORT=${BASH_REMATCH[7]:-5432} PGSSLMODE=${BASH_REMATCH[10]:-prefer}
  local user=${BASH_REMATCH[2]} password=${BASH_REMATCH[4]} name=${BASH_REMATCH[8]}
  PGUSER=$(decoded "$user") PGDATABASE=$(decoded "$name")
  export PGUSER PGDATABASE
  if [[ -n $password ]]; then
    PGPASSWORD=$(decoded "$password")
    export PGPASSWORD
  fi
  install_if_missing psql postgresql-client
  sql "SELECT 1" || die "the server of POSTGRES_URL cannot be reached"
}

decoded() { printf '%b' "${1//%/\\x}"; }  # URL-ENCODED

# A server that listens in a folder of its own only, so that it needs neither a port nor a password. It refuses to run as root.
start_postgres() {
  find_postgres_programs || install postgresql
  find_postgres_programs || die "PostgreSQL's server was not found"
  local folder as_server=()
  folder=$(mktemp -d "${TMPDIR:-/tmp}/idempotency-demo-pg.XXXXXX")
  folders+=("$folder")
  if ((EUID == 0)); then
    chown postgres "$folder"
    as_server=(setpriv --reuid postgres --regid postgres --clear-groups)
  fi
  as_server=(env --chdir="$folder" ${as_server[@]+"${as_server[@]}"})
  "${as_server[@]}" "$postgres_programs/initdb" --pgdata "$folder/data" --username postgres --auth trust --encoding UTF8 --locale C --no-sync \
    >"$tmp/initdb.log" 2>&1 || { tail -n 5 "$tmp/initdb.log" >&2; die "initdb failed"; }
  start_or_die postgres "ready to accept connections" \
    "${as_server[@]}" "$postgres_programs/postgres" -D "$folder/data" -c listen_addresses= -c "unix_socket_directories=$folder"
  export PGHOST=$folder PGPORT=5432 PGUSER=postgres PGDATABASE=postgres PGSSLMODE=disable
}

find_postgres_programs() {  # the newest, where there are several
  local program
  for program in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres; do
    [[ ! -x $program ]] || postgres_programs=${program%/*}
  done
  [[ -n $postgres_programs ]]
}

sql() {  # STATEMENTS
  PATH=$PATH:$postgres_programs psql -X -q -w -v ON_ERROR_STOP=1 -c "$1" >"$tmp/psql.log" 2>&1 || { tail -n 3 "$tmp/psql.log" >&2; return 1; }
}

make_schema() {  # NAME; sets connection, for Npgsql
  sql "CREATE SCHEMA $1" || die "could not make a schema in PostgreSQL"
  [[ -z ${POSTGRES_URL:-} ]] || schemas+=("$1")
  connection="Host=$PGHOST;Port=$PGPORT;Database=$PGDATABASE;Username=$PGUSER;SSL Mode=${PGSSLMODE//-/};Search Path=$1"
}

dropping() { local name; for name in "${schemas[@]}"; do printf 'DROP SCHEMA %s CASCADE; ' "$name"; done; }
