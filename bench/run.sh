#!/usr/bin/env bash
# Measures the gateway beside plain YARP on this machine: throughput, latency, executions per key, store round trips and memory.
# What the numbers mean: bench/README.md. Exit code: 0 as promised, 1 a promise was broken or requests failed, 2 could not run.
set -euo pipefail
export LC_ALL=C DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1

bench=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$bench")
rounds=5
seconds=5
memory_requests=100000
results=$bench/results/latest.md

usage() {
  cat <<TEXT
Usage: bench/run.sh [--rounds N] [--seconds N] [--quick]

  --rounds N    how often every cell is measured (default 5)
  --seconds N   how long each time, and how long every cell is warmed up before the first round (default 5)
  --quick       a smoke run: one round of one second, a twentieth of the memory traffic, nothing written to bench/results
  --help        this text

Needs two cores, the .NET 10 SDK and, from Debian's packages, curl, wrk and redis-server, which are installed when missing.
The default takes about five minutes. Nothing else should run meanwhile.
TEXT
}

die() { echo "bench/run.sh: $*" >&2; exit 2; }
say() { echo "$*" >&2; }

while (($# > 0)); do
  case $1 in
    --rounds) [[ ${2:-} =~ ^[1-9][0-9]{0,2}$ ]] || die "--rounds wants a number from 1 to 999"; rounds=$2; shift ;;
    --seconds) [[ ${2:-} =~ ^[1-9][0-9]{0,2}$ ]] || die "--seconds wants a number from 1 to 999"; seconds=$2; shift ;;
    --quick) rounds=1 seconds=1 memory_requests=5000 results="" ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument: $1" ;;
  esac
  shift
done

# ---- What is started here ends here: by pid, and with its files ----------------------------------------------------------------------

# The embedded store must be on a disk, or its flushes cost nothing.
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/idempotency-bench.XXXXXX")
if [[ $(stat -f -c %T "$tmp") == tmpfs ]]; then
  rmdir "$tmp"
  tmp=$(mktemp -d /var/tmp/idempotency-bench.XXXXXX)
fi
pids=()     # servers that run
pending=""  # wrk, or a server that is not ready yet

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

apt_get() {
  local as_root=()
  if ((EUID != 0)); then as_root=(sudo); fi
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@" </dev/null >>"$tmp/apt.log" 2>&1
}

install_if_missing() {  # COMMAND PACKAGE
  command -v "$1" >/dev/null && return
  command -v apt-get >/dev/null || die "$1 is needed; please install it"
  say "Installing $2 ..."
  { apt_get update && apt_get install -y --no-install-recommends "$2"; } || { tail -n 5 "$tmp/apt.log" >&2; die "could not install $2"; }
}

build() {  # PROJECT-FOLDER
  say "Building $1 ..."
  dotnet build "$root/$1" -c Release --nologo --disable-build-servers >"$tmp/build.log" 2>&1 || { tail -n 20 "$tmp/build.log" >&2; die "$1 does not build"; }
}

dll() { echo "$root/$1/bin/Release/net10.0/$(basename "$1").dll"; }

# ---- Servers, each on a free port. Proxies have core 0 for themselves; what serves and loads them shares core 1. ---------------------

start() {  # NAME PATTERN-OF-ITS-READY-LINE COMMAND...; sets started_pid and ready (what the pattern matched)
  local name=$1 pattern=$2
  shift 2
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

start_dotnet() {  # NAME CORE COMMAND...; sets pid[NAME] and url[NAME]
  local name=$1 core=$2
  shift 2
  start "$name" "Listening on http://127\.0\.0\.1:[0-9]+" taskset -c "$core" "$@" || { tail -n 30 "$tmp/$name.log" >&2; die "$name did not start"; }
  pid[$name]=$started_pid
  url[$name]=${ready#* on }
}

start_redis() {
  # redis-server cannot pick a free port itself: try until one is.
  for _ in {1..10}; do
    redis_port=$((20000 + RANDOM % 12000))
    if start redis "Ready to accept connections" taskset -c 1 redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$tmp" \
      --save "" --appendonly no --maxmemory-policy noeviction; then
      return
    fi
  done
  tail -n 10 "$tmp/redis.log" >&2
  die "redis-server did not start"
}

start_gateway() {  # NAME SETTING=VALUE...
  local name=$1 health
  shift
  start_dotnet "$name" 0 env "$@" "$backend_address" "Admin__Urls=http://127.0.0.1:0" \
    dotnet "$(dll src/Gateway)" run --config "$bench/gateway.json" --urls http://127.0.0.1:0
  health=$(grep -m1 -oE "Health on http://127\.0\.0\.1:[0-9]+" "$tmp/$name.log")
  curl -fsS -o "$tmp/ready" --retry 10 --retry-delay 1 --retry-all-errors "${health#* on }/readyz" 2>/dev/null || die "the store of $name is not ready"
}

# ---- Measuring -----------------------------------------------------------------------------------------------------------------------

# A cell is one line of the table: the server that it measures, the script that loads it, and the least ratio to plain YARP that is aimed at.
cells=(plain unguarded embedded-first embedded-replay redis-first redis-replay)
declare -A pid url
declare -A label=([plain]="plain YARP" [unguarded]="gateway, unguarded route"
  [embedded-first]="first request, Embedded" [embedded-replay]="replay, Embedded" [redis-first]="first request, Redis" [redis-replay]="replay, Redis")
declare -A server=([plain]=plain-yarp [unguarded]=embedded [embedded-first]=embedded [embedded-replay]=embedded [redis-first]=redis-gateway [redis-replay]=redis-gateway)
declare -A script=([plain]=plain [unguarded]=plain [embedded-first]=first [embedded-replay]=replay [redis-first]=first [redis-replay]=replay)
declare -A path=([plain]=plain [unguarded]=plain [embedded-first]=guarded [embedded-replay]=guarded [redis-first]=guarded [redis-replay]=guarded)
declare -A aim=([plain]="" [unguarded]=0.98 [embedded-first]=0.75 [embedded-replay]=2.0 [redis-first]=0.75 [redis-replay]=2.0)

calc() { awk "BEGIN { printf \"$1\", $2 }"; }  # FORMAT EXPRESSION

reset_executions() { curl -fsS -o "$tmp/reset" -X DELETE "${url[backend]}/_executions" || die "the backend does not answer"; }

# Sets keys, executions and most_per_key, once the requests that wrk left under way have come to their end.
read_executions() {
  local last=""
  counts=""
  until [[ -n $last && $counts == "$last" ]]; do
    last=$counts
    sleep 0.2
    counts=$(curl -fsS "${url[backend]}/_executions") || die "the backend does not answer"
  done
  [[ $counts =~ \"keys\":([0-9]+),\"executions\":([0-9]+),\"max_per_key\":([0-9]+) ]] || die "the backend's counts cannot be read: $counts"
  keys=${BASH_REMATCH[1]} executions=${BASH_REMATCH[2]} most_per_key=${BASH_REMATCH[3]}
}

script_calls() { redis-cli -p "$redis_port" INFO commandstats | awk -F'[=,]' '/^cmdstat_eval(sha)?:/ { calls += $2 } END { print calls + 0 }'; }
cpu_ticks() { sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }'; }  # PID
core_ticks() { awk -v core="cpu$1" '$1 == core { for (i = 2; i <= 9; i++) all += $i; print all - $5 - $6, all }' /proc/stat; }  # CORE; busy, all
resident() { awk '/^VmRSS:/ { printf "%.0f", $2 / 1024 }' "/proc/$1/status"; }  # PID; MiB

load() {  # CELL CONNECTIONS SECONDS; sets sent, answered, elapsed, p50, p99, bad_status and socket_errors
  local cell=$1
  taskset -c 1 wrk -t1 -c"$2" -d"$3s" --latency -s "$bench/${script[$cell]}.lua" "${url[${server[$cell]}]}/${path[$cell]}/orders" >"$tmp/wrk.log" 2>&1 &
  pending=$!
  wait "$pending" || { cat "$tmp/wrk.log" >&2; die "wrk failed"; }
  pending=""
  read -r sent answered elapsed p50 p99 bad_status socket_errors < <(sed -n 's/^result //p' "$tmp/wrk.log") || { cat "$tmp/wrk.log" >&2; die "wrk gave no result"; }
}

problems=()
problem() { problems+=("$*"); say "FAILED: $*"; }

check_executions() {  # CELL WHEN
  case ${script[$1]} in
    first)
      ((executions == keys && most_per_key <= 1)) || problem "${label[$1]}, $2: $keys keys were executed $executions times, one of them $most_per_key times"
      ((keys >= answered - bad_status)) || problem "${label[$1]}, $2: $answered requests were answered, but only $keys executed"
      ;;
    replay) ((executions == 0)) || problem "${label[$1]}, $2: replays were executed $executions times" ;;
  esac
}

measure() {  # CELL ROUND; round 0 is the warm-up
  local cell=$1 round=$2 proxy=${pid[${server[$1]}]} calls=0 ticks core0 core1 busy0 busy1
  reset_executions
  [[ $cell != redis-* ]] || calls=$(script_calls)
  core0=$(core_ticks 0) core1=$(core_ticks 1) ticks=$(cpu_ticks "$proxy")
  load "$cell" 64 "$seconds"
  ticks=$(($(cpu_ticks "$proxy") - ticks))
  busy0=$(core_ticks 0 | awk -v before="$core0" '{ split(before, b); printf "%.0f", 100 * ($1 - b[1]) / ($2 - b[2]) }')
  busy1=$(core_ticks 1 | awk -v before="$core1" '{ split(before, b); printf "%.0f", 100 * ($1 - b[1]) / ($2 - b[2]) }')
  ((answered > 0)) || { cat "$tmp/wrk.log" >&2; die "no request was answered"; }
  read_executions
  [[ $cell != redis-* ]] || calls=$(($(script_calls) - calls))
  check_executions "$cell" "round $round"
  local rate
  rate=$(calc %.0f "$answered / $elapsed")
  say "  $(printf '%-26s %7d/s  p50 %8.3f ms  p99 %8.3f ms' "${label[$cell]}" "$rate" "$p50" "$p99")"
  ((round > 0)) || return 0
  ((bad_status + socket_errors == 0)) || problem "${label[$cell]}, round $round: $bad_status answers were not 2xx, $socket_errors socket errors"
  # Columns of samples: 1 cell, 2 round, 3 rate, 4 p50, 5 p99, 6 bad status, 7 socket errors, 8 sent, 9 keys, 10 executions,
  # 11 CPU microseconds of the proxy per request, 12 and 13 busy cores, 14 script calls
  echo "$cell $round $rate $p50 $p99 $bad_status $socket_errors $sent $keys $executions" \
    "$(calc %.1f "$ticks * 1e6 / $(getconf CLK_TCK) / $answered") $busy0 $busy1 $calls" >>"$tmp/samples"
}

# Executes the keys of replay.lua: on one connection no request meets its twin, so that none is refused as in progress.
seed() {  # CELL
  reset_executions
  for _ in {1..30}; do
    load "$1" 1 1
    ((bad_status + socket_errors == 0)) || { cat "$tmp/wrk.log" >&2; die "seeding for ${label[$1]} failed"; }
    read_executions
    ((executions == keys)) || problem "${label[$1]}, seeding: $keys keys were executed $executions times"
    ((keys < 64)) || return 0
  done
  die "seeding for ${label[$1]} took too long"
}

# Sends at least memory_requests and sets memory_sent.
memory_load() {  # CELL
  memory_sent=0
  while ((memory_sent < memory_requests)); do
    reset_executions
    load "$1" 64 "$seconds"
    memory_sent=$((memory_sent + sent))
    read_executions
    check_executions "$1" "memory"
    ((bad_status + socket_errors == 0)) || problem "${label[$1]}, memory: $bad_status answers were not 2xx, $socket_errors socket errors"
  done
}

measure_memory() {  # NAME STORE
  local process=${pid[${server[$2-first]}]} before after_first first after_replay
  before=$(resident "$process")
  memory_load "$2-first"
  first=$memory_sent after_first=$(resident "$process")
  memory_load "$2-replay"
  after_replay=$(resident "$process")
  # A leak of 1 kB per request would be 100 MiB and more; the collector's own ups and downs are a few.
  local verdict="flat"
  ((10 * (after_replay - before) <= before)) || verdict="grew"
  echo "| $1 | ${started_with[$2]} | $before | $after_first ($first) | $after_replay ($memory_sent) | $((after_replay - before)), $verdict |" >>"$tmp/memory"
  say "  $1: $before MiB before, $after_first after $first first requests, $after_replay after $memory_sent replays"
}

# ---- The report ----------------------------------------------------------------------------------------------------------------------

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
column() { awk -v cell="$1" -v column="$2" '$1 == cell { print $column }' "$tmp/samples"; }  # CELL COLUMN
total() { column "$@" | awk '{ sum += $1 } END { print sum + 0 }'; }  # CELL COLUMN
ratios() { awk -v cell="$1" '$1 == "plain" { plain[$2] = $3 } $1 == cell { rate[$2] = $3 } END { for (r in rate) print rate[r] / plain[r] }' "$tmp/samples"; }  # CELL
range() { sort -n | awk 'NR == 1 { low = $1 } END { printf "%.2f to %.2f", low, $1 }'; }
package_version() { grep -oE "\"$2/[0-9.]+\"" "$(dll "$1" | sed 's/dll$/deps.json/')" | head -n 1 | grep -oE "[0-9.]+\"" | tr -d '"'; }  # PROJECT PACKAGE

# What one flush to the disk costs, to judge the embedded store's numbers by. In ms.
flush_time() {
  local began=${EPOCHREALTIME/./}
  dd if=/dev/zero of="$tmp/flush" bs=4k count=100 oflag=dsync 2>/dev/null
  calc %.2f "(${EPOCHREALTIME/./} - $began) / 100 / 1000"
}

commit() {
  local id
  id=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null) || { echo "unknown"; return; }
  [[ -z $(git -C "$root" status --porcelain -- . ':!bench/results') ]] || id+=", with uncommitted changes"
  echo "$id"
}

cell_row() {  # CELL
  local cell=$1 ratio="" per_key="" met="" trips=""
  if [[ $cell != plain ]]; then
    ratio=$(ratios "$cell" | median)
    met="$(calc %s "($ratio >= ${aim[$cell]} ? \"met\" : \"missed\")"), at least ${aim[$cell]}"
    ratio="$(calc %.2f "$ratio") ($(ratios "$cell" | range))"
  fi
  case ${script[$cell]} in
    first) per_key=$(calc %.3f "$(total "$cell" 10) / $(total "$cell" 9)") ;;
    replay) per_key="$(calc %.3f "(64 + $(total "$cell" 10)) / 64") ($(total "$cell" 10) further)" ;;
  esac
  if [[ $cell == redis-* ]]; then trips=$(calc %.3f "$(total "$cell" 14) / $(total "$cell" 8)"); fi
  printf '| %s | %.0f | %s | %s | %.2f | %.2f | %s | %s | %s | %.0f | %.0f / %.0f |\n' "${label[$cell]}" "$(column "$cell" 3 | median)" "${ratio:--}" "${met:--}" \
    "$(column "$cell" 4 | median)" "$(column "$cell" 5 | median)" "${per_key:--}" "${trips:--}" "$(total "$cell" 6) / $(total "$cell" 7)" \
    "$(column "$cell" 11 | median)" "$(column "$cell" 12 | median)" "$(column "$cell" 13 | median)"
}

report() {
  local cell line
  echo "# Gateway beside plain YARP"
  echo
  echo "Written by \`bench/run.sh\`; how to read it: [bench/README.md](../README.md)."
  [[ -n $results ]] || printf '\n**A smoke run: the counts are right, the speeds mean nothing.**\n'
  echo
  echo "| | |"
  echo "| --- | --- |"
  echo "| date | $(date -u '+%Y-%m-%d %H:%M UTC') |"
  echo "| commit | $(commit) |"
  echo "| machine | $(nproc --all) cores, $(lscpu | sed -n 's/^ *Model name: *//p' | head -n 1), Linux $(uname -r); load average at the start $load_at_start |"
  echo "| versions | $(sed -n 's/^Idempotency gateway .* on //p' "$tmp/embedded.log"), YARP $(package_version src/Gateway Yarp.ReverseProxy)," \
    "Redis $(redis-server --version | grep -oE 'v=[0-9.]+' | tr -d 'v='), $(wrk -v 2>&1 | awk 'NR == 1 { print $1, $2 }') |"
  echo "| embedded store | Durability $durability, on $(stat -f -c %T "$tmp"), where one flush of 4 KiB takes $flush ms |"
  echo "| Redis | one node on loopback, no persistence, noeviction |"
  echo "| load | 64 connections, $rounds x $seconds s, interleaved, medians; proxy on core 0; wrk, backend and Redis on core 1 |"
  echo
  echo "| cell | requests/s | ratio to plain YARP (range) | aim | p50 ms | p99 ms | executions per key | store round trips (aim: 2, replay 1) | non-2xx / socket errors | proxy CPU µs/request | core 0 / 1 busy % |"
  echo "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
  for cell in "${cells[@]}"; do cell_row "$cell"; done
  echo
  echo "Memory of the gateway's process, resident, in MiB (aim: flat, which is growth of at most a tenth):"
  echo
  echo "| store | at the start | after the rounds | after first requests (number) | after replays (number) | growth since the rounds |"
  echo "| --- | ---: | ---: | ---: | ---: | ---: |"
  cat "$tmp/memory"
  echo
  if ((${#problems[@]} == 0)); then
    echo "No key was executed twice, and every answer was a 2xx."
  else
    echo "**FAILED:**"
    echo
    for line in "${problems[@]}"; do echo "* $line"; done
  fi
}

# ---- Run -----------------------------------------------------------------------------------------------------------------------------

load_at_start=$(cut -d' ' -f1 /proc/loadavg)
for core in 0 1; do taskset -c "$core" true 2>/dev/null || die "cores 0 and 1 are needed"; done
command -v dotnet >/dev/null || die "the .NET 10 SDK is needed: https://dotnet.microsoft.com/download"
install_if_missing curl curl
install_if_missing wrk wrk
install_if_missing redis-server redis-server
build src/Gateway
build bench/PlainYarp
build bench/Backend

start_dotnet backend 1 dotnet "$(dll bench/Backend)"
backend_address="ReverseProxy__Clusters__backend__Destinations__one__Address=${url[backend]}/"
start_redis
start_dotnet plain-yarp 0 env "$backend_address" dotnet "$(dll bench/PlainYarp)" "$bench/PlainYarp/plain-yarp.json"
start_gateway embedded "Store__Kind=Embedded" "Store__Embedded__Path=$tmp/idempotency.db"
start_gateway redis-gateway "Store__Kind=Redis" "Store__Redis__Configuration=127.0.0.1:$redis_port"
declare -A started_with=([embedded]=$(resident "${pid[embedded]}") [redis]=$(resident "${pid[redis-gateway]}"))
durability=$(sed -n 's/^Store: Embedded (.*, \(.*\))$/\1/p' "$tmp/embedded.log")
flush=$(flush_time)
say "Embedded store: Durability $durability, in $tmp ($(stat -f -c %T "$tmp")), one flush takes $flush ms"

seed embedded-replay
seed redis-replay
say "Warm-up"
for cell in "${cells[@]}"; do measure "$cell" 0; done
for ((round = 1; round <= rounds; round++)); do
  say "Round $round of $rounds"
  # There and back, so that no cell always follows the same one.
  for ((i = 0; i < ${#cells[@]}; i++)); do
    measure "${cells[round % 2 ? i : ${#cells[@]} - 1 - i]}" "$round"
  done
done
say "Memory"
measure_memory Embedded embedded
measure_memory Redis redis

# YARP's warnings are expected: wrk hangs up at the end of a cell. The gateway's own are not.
for name in embedded redis-gateway; do
  if grep -E "^[0-9T:.+-]+ (warn|fail|crit): (Gateway|Idempotency)\." "$tmp/$name.log" >"$tmp/warnings"; then
    say "$name logged $(wc -l <"$tmp/warnings") warnings or errors, the last of them:"
    tail -n 5 "$tmp/warnings" | cut -c 1-300 >&2
  fi
done

report >"$tmp/report.md"
cat "$tmp/report.md"
if [[ -n $results ]]; then
  mkdir -p "$(dirname "$results")"
  cp "$tmp/report.md" "$results"
  say "Written to $results"
fi
((${#problems[@]} == 0)) || exit 1
