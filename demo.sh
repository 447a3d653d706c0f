#!/usr/bin/env bash
# Shows what the gateway is for: identical requests, sent to an unmodified legacy backend directly and then through the gateway, and the
# rows that each made in the backend's own data. Exit code: 0 as promised, 1 an expectation failed, 2 could not run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parallel=20
store=embedded
keep=false

usage() {
  cat <<TEXT
Usage: demo.sh [-n N] [--store embedded|redis] [--keep]

  -n N            how many identical requests are sent at the same time (2 to 200, default 20)
  --store KIND    where the gateway keeps its records: embedded (a SQLite file, default) or redis
                  (the server in REDIS_URL if set, else a redis-server started for the demo)
  --keep          leave everything running at the end, and print requests to try
  --help          this text

Needs the .NET 10 SDK and curl. The first run builds (a minute or two), later runs start within seconds.
TEXT
}

die() { echo "demo.sh: $*" >&2; exit 2; }

while (($# > 0)); do
  case $1 in
    -n) [[ ${2:-} =~ ^[0-9]{1,3}$ ]] && ((10#$2 >= 2 && 10#$2 <= 200)) || die "-n wants a number from 2 to 200"; parallel=$((10#$2)); shift ;;
    --store) [[ ${2:-} == embedded || ${2:-} == redis ]] || die "--store wants embedded or redis"; store=$2; shift ;;
    --keep) keep=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument: $1" ;;
  esac
  shift
done

# ---- What is started here ends here: by pid, and with its files ----------------------------------------------------------------------

tmp=$(mktemp -d "${TMPDIR:-/tmp}/idempotency-demo.XXXXXX")
pids=()     # servers that run
pending=""  # a build, or a server that is not ready yet

cleanup() {
  local pid
  for pid in ${pids[@]+"${pids[@]}"} $pending; do kill "$pid" 2>/dev/null || true; done
  for pid in ${pids[@]+"${pids[@]}"} $pending; do
    for _ in {1..50}; do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- Tools and builds ----------------------------------------------------------------------------------------------------------------

install_if_missing() {  # COMMAND PACKAGE
  command -v "$1" >/dev/null && return
  command -v apt-get >/dev/null || die "$1 is needed; please install it"
  echo "Installing $2 ..."
  local as_root=()
  ((EUID == 0)) || as_root=(sudo)
  ${as_root[@]+"${as_root[@]}"} apt-get install -y -qq "$2" >"$tmp/apt.log" 2>&1 || { tail -n 5 "$tmp/apt.log" >&2; die "could not install $2"; }
}

dll() { echo "$root/src/$1/bin/Release/net10.0/$1.dll"; }

# The stamp covers changed files that do not change the dll, which a build then leaves as old as it was.
is_built() {  # PROJECT
  local output stamp="$root/src/$1/obj/demo.stamp"
  output=$(dll "$1")
  [[ -f $output ]] || return 1
  [[ $stamp -nt $output ]] && output=$stamp
  [[ -z $(find "$root/src/$1" "$root"/Directory.*.props "$root/.editorconfig" "$root/BannedSymbols.txt" "$root/global.json" \
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

# ---- Servers, each on a free port that it names itself -------------------------------------------------------------------------------

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

start_gateway() {
  local settings=(
    "ReverseProxy__Clusters__legacy__Destinations__one__Address=$backend/"
    "Admin__Urls=http://127.0.0.1:0"
  )
  if [[ $store == redis ]]; then
    settings+=("Store__Kind=Redis" "Store__Redis__Configuration=$redis" "Store__Redis__KeyPrefix=idem-demo:")
  else
    settings+=("Store__Kind=Embedded" "Store__Embedded__Path=$tmp/idempotency.db")
  fi
  start_or_die Gateway "Listening on http://127\.0\.0\.1:[0-9]+" \
    env "${settings[@]}" dotnet "$(dll Gateway)" run --config "$root/config/routes.json" --urls http://127.0.0.1:0
  gateway=${ready#* on }
  gateway_pid=$started_pid
}

# ---- Requests: queue some, then send them all at once --------------------------------------------------------------------------------

batch=$tmp/batch

new_batch() { rm -rf "$batch"; mkdir "$batch"; sent=0; }

queue() {  # URL KEY-OR-EMPTY BODY [CURL-CONFIG-LINE...]
  local url=$1 key=$2 body=$3 file
  shift 3
  sent=$((sent + 1))
  file=$batch/$sent
  printf '%s' "$body" >"$file.request"
  : >"$file.headers"
  : >"$file.body"
  {
    ((sent == 1)) || echo next
    echo silent
    echo "url = \"$url\""
    echo 'header = "Content-Type: application/json"'
    [[ -z $key ]] || echo "header = \"Idempotency-Key: \\\"$key\\\"\""
    echo "data-binary = \"@$file.request\""
    echo "dump-header = \"$file.headers\""
    echo "output = \"$file.body\""
    (($# == 0)) || printf '%s\n' "$@"
  } >>"$batch/requests"
}

# Sets answers (lines of: status, whether replayed, file). A request without any answer has status "none".
# Curl's own complaints are not wanted: a lost answer is one of the experiments, and is counted.
send() {
  curl --parallel --parallel-immediate --parallel-max "$sent" --config "$batch/requests" 2>/dev/null || true
  answers=$(awk '
    FNR == 1 { file[++n] = FILENAME }
    /^HTTP\// { status[FILENAME] = $2 }
    tolower($0) ~ /^idempotent-replayed: *true/ { replayed[FILENAME] = 1 }
    END { for (i = 1; i <= n; i++) print status[file[i]], replayed[file[i]] + 0, file[i] }' "$batch"/*.headers)
}

# Sets created, conflicts, replays, others ("422", "200 x3", ...), first (the file of the first 201), status (of the last answer),
# unlike (201s whose body is another one) and foreign (409s that are not the gateway's in-progress).
count() {
  created=0 conflicts=0 replays=0 unlike=0 foreign=0 first="" status=""
  local replayed file code answered=0 other=""
  while read -r code replayed file; do
    [[ -n $code ]] || continue
    status=$code
    file=${file%.headers}.body
    answered=$((answered + 1))
    replays=$((replays + replayed))
    case $code in
      201)
        created=$((created + 1))
        [[ -n $first ]] || first=$file
        cmp -s "$first" "$file" || unlike=$((unlike + 1))
        ;;
      409)
        conflicts=$((conflicts + 1))
        grep -q '"type":.*in-progress"' "$file" || foreign=$((foreign + 1))
        ;;
      *) other+="$code"$'\n' ;;
    esac
  done <<<"$answers"
  for ((; answered < sent; answered++)); do other+=$'none\n'; done
  others=$(printf '%s' "$other" | sort | uniq -c | awk '{ printf "%s%s%s", (NR > 1 ? ", " : ""), $2, ($1 > 1 ? " x" $1 : "") }')
}

stat() { curl -fsS "$backend/stats" | grep -o "\"$1\":[0-9]*" | cut -d: -f2; }  # COUNTER

measure() {  # COUNTER; sends the batch and sets rows beside what count sets
  local before
  before=$(stat "$1")
  send
  count
  rows=$(($(stat "$1") - before))
}

# ---- The table -----------------------------------------------------------------------------------------------------------------------

failures=0
problems=""
if [[ -t 1 ]]; then good=$'\e[32m' bad=$'\e[1;31m' plain=$'\e[0m'; else good="" bad="" plain=""; fi
line="---------------------------------------------------------------------------------------------------------------------------------"
columns='%-6s %-39s %5s %5s %5s %8s %8s %5s  '

expect() {  # WHAT ACTUAL EXPECTED
  [[ $2 == "$3" ]] || problems+="${problems:+; }$1: ${2:-none}, expected ${3:-none}"
}

row() {  # SYSTEM EXPERIMENT VERDICT-WHEN-AS-EXPECTED
  # shellcheck disable=SC2059
  printf "$columns" "$1" "$2" "$sent" "$created" "$conflicts" "${others:--}" "$replays" "$rows"
  if [[ -z $problems ]]; then
    echo "$good$3$plain"
  else
    echo "${bad}FAILED: $problems$plain"
    failures=$((failures + 1))
  fi
  problems=""
}

heading() {
  echo "$line"
  # shellcheck disable=SC2059
  printf "$columns%s\n" system experiment sent 201 409 other replays rows verdict
}

# ---- Experiments ---------------------------------------------------------------------------------------------------------------------

identical() {  # BASE-URL PATH KEY BODY; a batch of identical requests
  new_batch
  for ((i = 0; i < parallel; i++)); do queue "$1$2" "$3" "$4"; done
}

one() { new_batch; queue "$@"; }

# The direct half and the gateway half use different resources, so that neither finds what the other left behind.
system() {  # NAME COUNTER DIRECT-PATH DIRECT-BODY GATEWAY-PATH GATEWAY-BODY CHANGED-BODY
  local key="demo-$1-$run"
  echo "$line"

  identical "$backend" "$3" "$key" "$4"
  measure "$2"
  ((rows > 1)) || expect "rows" "$rows" "more than 1, or there is nothing to prevent"
  row "$1" "$parallel at once, directly" "legacy: $((rows - 1)) duplicates"

  identical "$gateway" "$5" "$key" "$6"
  measure "$2"
  expect "rows" "$rows" 1
  expect "201 and 409 answers" "$((created + conflicts))" "$sent"
  expect "replays" "$replays" "$((created - 1))"
  expect "201s with another body" "$unlike" 0
  expect "409s other than in-progress" "$foreign" 0
  row "" "$parallel at once, through the gateway" "ok: executed once"
  cp "${first:-/dev/null}" "$tmp/first"

  one "$gateway$5" "$key" "$6"
  measure "$2"
  expect "rows" "$rows" 0
  expect "201s" "$created" 1
  expect "replays" "$replays" 1
  cmp -s "$tmp/first" "$batch/1.body" || expect "body" "another" "that of the first answer"
  row "" "retry after completion" "ok: same answer, nothing executed"

  one "$gateway$5" "$key" "$7"
  measure "$2"
  expect "rows" "$rows" 0
  expect "status" "$status" 422
  row "" "same key, changed payload" "ok: refused"

  one "$gateway$5" "" "$6"
  measure "$2"
  expect "rows" "$rows" 0
  expect "status" "$status" 400
  row "" "no key" "ok: refused"
}

# Seed 000's own case: the client times out, the server finishes all the same, the client sends again. A client of the gateway is told
# 409 until the first request is done, so it asks until it has an answer.
impatient_client() {  # BASE-URL KEY; leaves the totals of all attempts in what measure sets
  local url=$1/cart/items body='{"sku":"impatient"}' delay='header = "X-Demo-Delay: 1000"' before all_conflicts=0 attempts=1
  before=$(stat items)
  one "$url" "$2" "$body" "$delay" "max-time = 0.5"
  send
  count
  local gave_up=$others
  for _ in {1..40}; do
    one "$url" "$2" "$body" "$delay"
    send
    count
    attempts=$((attempts + 1))
    ((conflicts > 0)) || break
    all_conflicts=$((all_conflicts + conflicts))
    sleep 0.25
  done
  sent=$attempts conflicts=$all_conflicts others="$gave_up${others:+, $others}"
  rows=$(($(stat items) - before))
}

impatience() {
  echo "$line"
  impatient_client "$backend" "demo-impatient-$run"
  expect "rows" "$rows" 2
  row cart "client times out and retries, directly" "legacy: bought twice"

  impatient_client "$gateway" "demo-impatient-$run"
  expect "rows" "$rows" 1
  expect "201s" "$created" 1
  expect "replays" "$replays" 1
  expect "lost answers and others" "$others" "none"
  row "" "the same through the gateway" "ok: bought once, and answered"
}

# Honest about the limit: two users have two keys, and a key only protects its own request. Never counted as a failure.
two_users() {
  echo "$line"
  new_batch
  queue "$gateway/seats/C3/bookings" "demo-ann-$run" '{"user":"ann"}'
  queue "$gateway/seats/C3/bookings" "demo-bob-$run" '{"user":"bob"}'
  measure bookings
  if ((rows > 1)); then
    row seats "two users, two keys, one seat, gateway" "a key is not a lock; locking resources comes later"
  else
    row seats "two users, two keys, one seat, gateway" "one booking"
  fi
}

# ---- Run -----------------------------------------------------------------------------------------------------------------------------

command -v dotnet >/dev/null || die "the .NET 10 SDK is needed: https://dotnet.microsoft.com/download"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
install_if_missing curl curl
curl --parallel --parallel-immediate --version >/dev/null 2>&1 || die "curl 7.68 or newer is needed (for --parallel-immediate)"
build DemoBackend
build Gateway

run=$(date +%s)-$$
# A round trip longer than the default keeps look-up and insert apart on a busy machine too.
start_or_die DemoBackend "listening on http://127\.0\.0\.1:[0-9]+" \
  dotnet "$(dll DemoBackend)" --urls http://127.0.0.1:0 --database "$tmp/legacy.db" --round-trip 50
backend=${ready#* on }
backend_pid=$started_pid
redis=""
if [[ $store == redis ]]; then
  if [[ -n ${REDIS_URL:-} ]]; then redis=$(redis_configuration "$REDIS_URL"); else start_redis; fi
fi
start_gateway

echo "Legacy backend $backend, gateway $gateway, store: $store${redis:+ at ${redis%%,*}}"
heading
system cart items /cart/items '{"sku":"book-1","quantity":2}' /cart/items '{"sku":"book-1","quantity":2}' '{"sku":"book-1","quantity":3}'
system seats bookings /seats/A1/bookings '{"user":"ann"}' /seats/B2/bookings '{"user":"ann"}' '{"user":"bob"}'
system urls entries /urls '{"longUrl":"https://example.org/direct"}' \
  /urls '{"longUrl":"https://example.org/gateway"}' '{"longUrl":"https://example.org/other"}'
impatience
two_users
cat <<TEXT
$line
rows: what the requests added to the backend's own database. replays: answers with "Idempotent-Replayed: true", counted among the 201s.
409: directly, the seat was seen to be taken; through the gateway, "in-progress": a retry that came while the first was running.
none: the client gave up waiting.
TEXT

if $keep; then
  trap - EXIT
  cat <<TEXT

Left running: DemoBackend $backend (pid $backend_pid), Gateway $gateway (pid $gateway_pid). Logs and data: $tmp
Send this twice, then change the quantity, then leave the key out:
  curl -i $gateway/cart/items -H 'Content-Type: application/json' -H 'Idempotency-Key: "try-1"' -d '{"sku":"book-1","quantity":2}'
An answer that got lost (after, before, half, 500, 503), or a slow backend (milliseconds):
  curl -i $gateway/cart/items -H 'Idempotency-Key: "try-2"' -H 'X-Demo-Fail: after' -d '{"sku":"book-1"}'
  curl -i $gateway/cart/items -H 'Idempotency-Key: "try-3"' -H 'X-Demo-Delay: 5000' -d '{"sku":"book-1"}'
What the backend really did, and what the gateway publishes about its rules:
  curl $backend/stats
  curl $gateway/.well-known/idempotency
Stop it all:
  kill ${pids[*]}; rm -rf $tmp
TEXT
fi

if ((failures > 0)); then
  echo "${bad}$failures expectation(s) failed.$plain The end of the gateway's log:" >&2
  tail -n 20 "$tmp/Gateway.log" >&2
  exit 1
fi
