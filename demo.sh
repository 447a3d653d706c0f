#!/usr/bin/env bash
# Shows what the gateway is for: identical requests, sent to an unmodified legacy backend directly and then through the gateway, and the
# rows that each made in the backend's own data. Exit code: 0 as promised, 1 an expectation failed, 2 could not run.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parallel=20
store=embedded
database=sqlite
keep=false

usage() {
  cat <<TEXT
Usage: demo.sh [-n N] [--store embedded|redis|postgres] [--database sqlite|postgres] [--keep]

  -n N             how many identical requests are sent at the same time (2 to 200, default 20)
  --store KIND     where the gateway keeps its records: embedded (a SQLite file, default), redis or postgres
  --database KIND  where the legacy backend keeps its data: sqlite (a file, default) or postgres
  --keep           leave everything running at the end, and print requests to try
  --help           this text

redis is the server in REDIS_URL, if set, else one started for the demo. postgres is the server in POSTGRES_URL (a postgres:// URL of a user
who may make schemas; they are dropped at the end), if set, else one started for the demo. Both may be used at once.
Needs the .NET 10 SDK and curl. The first run builds (a minute or two), later runs take half a minute.
TEXT
}

die() { echo "demo.sh: $*" >&2; exit 2; }

one_of() { local value; for value in "${@:2}"; do [[ $1 != "$value" ]] || return 0; done; return 1; }  # VALUE ALLOWED...

while (($# > 0)); do
  case $1 in
    -n) [[ ${2:-} =~ ^[0-9]{1,3}$ ]] && ((10#$2 >= 2 && 10#$2 <= 200)) || die "-n wants a number from 2 to 200"; parallel=$((10#$2)); shift ;;
    --store) one_of "${2:-}" embedded redis postgres || die "--store wants embedded, redis or postgres"; store=$2; shift ;;
    --database) one_of "${2:-}" sqlite postgres || die "--database wants sqlite or postgres"; database=$2; shift ;;
    --keep) keep=true ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; die "unknown argument: $1" ;;
  esac
  shift
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/idempotency-demo.XXXXXX")
source "$root/demo/servers.sh"
source "$root/demo/requests.sh"
folders+=("$tmp")
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ---- Seeds 000 and 001: a cart, seat bookings, a URL shortener -----------------------------------------------------------------------

# The direct half and the gateway half use different resources, so that neither finds what the other left behind.
system() {  # NAME COUNTER DIRECT-PATH DIRECT-BODY GATEWAY-PATH GATEWAY-BODY CHANGED-BODY
  local key="demo-$1-$run"
  counters=("$2")

  at_once "$backend$3" "$key" "$4"
  measure
  ((rows > 1)) || expect "rows" "$rows" "more than 1, or there is nothing to prevent"
  row "$1" "$parallel at once, directly" "legacy: $((rows - 1)) duplicates"

  through_gateway "" "$parallel at once, through the gateway" 1 "$5" "$key" "$6"
  retry_after_completion 0 "$5" "$key" "$6"

  one "$gateway$5" "$key" "$7"
  measure
  expect "rows" "$rows" 0
  expect "status" "$status" 422
  row "" "same key, changed payload" "ok: refused"

  one "$gateway$5" "" "$6"
  measure
  expect "rows" "$rows" 0
  expect "status" "$status" 400
  row "" "no key" "ok: refused"
  echo "$line"
}

through_gateway() {  # SYSTEM EXPERIMENT ROWS PATH KEY BODY; keeps the answer for retry_after_completion
  at_once "$gateway$4" "$5" "$6"
  measure
  expect "rows" "$rows" "$3"
  expect "201 and 409 answers" "$((created + conflicts))" "$sent"
  expect "replays" "$replays" "$((created - 1))"
  expect "201s with another body" "$unlike" 0
  expect "409s other than in-progress" "$foreign" 0
  row "$1" "$2" "ok: executed once"
  cp "${first:-/dev/null}" "$tmp/first"
}

retry_after_completion() {  # NO-ROWS PATH KEY BODY
  one "$gateway$2" "$3" "$4"
  measure
  expect "rows" "$rows" "$1"
  expect "201s" "$created" 1
  expect "replays" "$replays" 1
  cmp -s "$tmp/first" "$batch/1.body" || expect "body" "another" "that of the first answer"
  row "" "retry after completion, gateway" "ok: same answer, nothing executed"
}

# Seed 000's own case: the client times out, the server finishes all the same, the client sends again. A client of the gateway is told
# 409 until the first request is done, so it asks until it has an answer.
impatience() {
  local body='{"sku":"impatient"}' every='header = "X-Demo-Delay: 1000"' first_try="max-time = 0.5"
  counters=(items)

  persistent_client "$backend/cart/items" "demo-impatient-$run" "$body" "$every" "$first_try"
  expect "rows" "$rows" 2
  row cart "client times out and retries, directly" "legacy: bought twice"

  persistent_client "$gateway/cart/items" "demo-impatient-$run" "$body" "$every" "$first_try"
  expect "rows" "$rows" 1
  expect "told" "$told" "201 replayed"
  expect "lost answers and others" "$others" "none"
  row "" "the same through the gateway" "ok: bought once, and answered"
  echo "$line"
}

# Honest about the limit: two users have two keys, and a key only protects its own request. Never counted as a failure.
two_users() {
  counters=(bookings)
  new_batch
  queue "$gateway/seats/C3/bookings" "demo-ann-$run" '{"user":"ann"}'
  queue "$gateway/seats/C3/bookings" "demo-bob-$run" '{"user":"bob"}'
  measure
  if ((rows > 1)); then
    row seats "two users, two keys, one seat, gateway" "a key is no lock; a policy may have one"
  else
    row seats "two users, two keys, one seat, gateway" "one booking"
  fi
}

# ---- Seed 003: users, a backend that defends itself ----------------------------------------------------------------------------------

users() {
  local user i late
  counters=(users events emails)

  user='{"email":"direct@example.org","name":"Ann"}'
  at_once "$backend/api/users" "" "$user"
  measure
  expect_one_user
  row users "$parallel at once, directly" "ok: its e-mail is unique"

  one "$backend/api/users" "" "$user"
  measure
  expect "rows" "$rows" 0/0/0
  expect "status" "$status" 200
  row "" "retry after completion, directly" "\"User exists\", not the first answer"

  user='{"email":"key@example.org","name":"Ann"}'
  through_gateway "" "$parallel at once, through the gateway" 1/1/1 /api/users "demo-user-$run" "$user"
  retry_after_completion 0/0/0 /api/users "demo-user-$run" "$user"

  user='{"email":"keys@example.org","name":"Ann"}'
  new_batch
  for ((i = 1; i <= parallel; i++)); do queue "$gateway/api/users" "demo-user-$i-$run" "$user"; done
  measure
  expect_one_user
  row "" "the same, a key each" "ok: the backend's own answers"

  late=$(awk -F '[ /.]' '$1 == 409 { print $(NF - 1) }' <<<"$answers")
  [[ -n $late ]] || return 0
  new_batch
  for i in $late; do queue "$gateway/api/users" "demo-user-$i-$run" "$user"; done
  measure
  expect "rows" "$rows" 0/0/0
  expect "201 and 409 answers" "$((created + conflicts))" 0
  expect_others_are_200
  row "" "those told 409 try again" "ok: their keys were free"
}

expect_one_user() {  # 201 once, else 200 (exists) or the backend's own 409 (another one is being made)
  expect "rows" "$rows" 1/1/1
  expect "201s" "$created" 1
  expect "409s of the backend" "$foreign" "$conflicts"
  expect_others_are_200
}

expect_others_are_200() { [[ ${others:-200} =~ ^200( x[0-9]+)?$ ]] || expect "other answers" "$others" 200; }

# ---- Seed 002: accounts, opened at two foreign systems -------------------------------------------------------------------------------

account_body() { echo "{\"reference\":\"$1-$run\",\"owner\":\"Ann\",\"deposit\":100}"; }  # REFERENCE

# Two forms of the same API: "legacy" knows no keys, "accounts" has recovery points by key.
all_well() {
  at_once "$backend/legacy/accounts" "" "$(account_body well-1)"
  measure
  expect "rows" "$rows" "$sent/$sent/$sent"
  row legacy "1 all well: $parallel at once, directly" "legacy: $((sent - 1)) accounts too many"
  through_gateway "" "  through the gateway" 1/1/1 /legacy/accounts "demo-well-2-$run" "$(account_body well-2)"

  at_once "$backend/accounts" "demo-well-3-$run" "$(account_body well-3)"
  measure
  expect "rows" "$rows" 1/1/1
  expect "201 and 409 answers" "$((created + conflicts))" "$sent"
  expect "201s with another body" "$unlike" 0
  row accounts "  directly" "ok: its recovery points"
  through_gateway "" "  through the gateway" 1/1/1 /accounts "demo-well-4-$run" "$(account_body well-4)"
  echo "$line"
}

# One try that meets the fault, then retries that do not.
broken() {  # SYSTEM EXPERIMENT URL FAULT ROWS TOLD VERDICT
  accounts=$((accounts + 1))
  persistent_client "$3" "demo-account-$accounts-$run" "$(account_body "$accounts")" "" "header = \"$4\""
  expect "rows" "$rows" "$5"
  expect "told" "$told" "$6"
  row "$1" "$2" "$7"
}

# What the unmodified backend did before its link broke stays as it is, with Refuse and mostly with Probe: said as such, never done twice.
broken_link() {  # EXPERIMENT FAULT ROWS-OF-LEGACY-DIRECTLY ROWS-WITH-GATEWAY
  broken legacy "$1, directly" "$backend/legacy/accounts" "$2" "$3" 201 "legacy: duplicates"
  broken "" "  gateway, Refuse" "$gateway/legacy/accounts" "$2" "$4" "409 uncertain" "ok: uncertain, and not repeated"
  broken "" "  gateway, Probe" "$gateway/asked/legacy/accounts" "$2" "$4" "409 uncertain" "ok: found half open, not repeated"
  broken accounts "  directly" "$backend/accounts" "$2" 1/1/1 201 "ok: goes on where it stood"
  broken "" "  gateway, Retry" "$gateway/accounts" "$2" 1/1/1 201 "ok: goes on where it stood"
  echo "$line"
}

lost_answer() {
  local lost="X-Demo-Fail: after"
  broken legacy "2 the answer lost, directly" "$backend/legacy/accounts" "$lost" 2/2/2 201 "legacy: opened twice"
  broken "" "  gateway, Refuse" "$gateway/legacy/accounts" "$lost" 1/1/1 "409 uncertain" "ok: uncertain, and not repeated"
  broken "" "  gateway, Probe" "$gateway/asked/legacy/accounts" "$lost" 1/1/1 "200 replayed" "ok: asked for, and found"
  broken accounts "  directly" "$backend/accounts" "$lost" 1/1/1 201 "ok: its stored answer"
  broken "" "  gateway, Retry" "$gateway/accounts" "$lost" 1/1/1 201 "ok: its stored answer"

  lost="X-Demo-Fail: before"
  broken legacy "  the request lost: gateway, Refuse" "$gateway/legacy/accounts" "$lost" 0/0/0 "409 uncertain" "ok: uncertain, and not repeated"
  broken "" "  gateway, Probe" "$gateway/asked/legacy/accounts" "$lost" 1/1/1 201 "ok: asked for, absent, sent again"
  echo "$line"
}

# Nobody comes back for these.
draining() {
  local fault='header = "X-Demo-Fail-Registry: before"' unfinished
  unfinished=$(stats unfinished)
  abandoned legacy "5 registry fails, no retry: gateway" "$gateway/legacy/accounts" 502 "nobody will finish it"
  abandoned accounts "  directly" "$backend/accounts" 503 "unfinished"
  abandoned "" "  gateway" "$gateway/accounts" 503 "unfinished"
  expect "unfinished" "$(($(stats unfinished) - unfinished))" 3

  begin
  for _ in {1..150}; do (($(stats unfinished) > unfinished + 1)) || break; sleep 0.2; done
  end
  sent=0 created=0 conflicts=0 others="" replays=0
  expect "rows" "$rows" 0/0/2
  expect "unfinished" "$(($(stats unfinished) - unfinished))" 1
  row "" "  seconds later, the draining job" "ok: finished both"

  one "$gateway/accounts" "demo-account-$accounts-$run" "$(account_body "$accounts")"
  measure
  expect "rows" "$rows" 0/0/0
  expect "status" "$status" 201
  row "" "  the client comes back, gateway" "ok: told of its account"
}

abandoned() {  # SYSTEM EXPERIMENT URL STATUS VERDICT; uses fault
  accounts=$((accounts + 1))
  one "$3" "demo-account-$accounts-$run" "$(account_body "$accounts")" "$fault"
  measure
  expect "rows" "$rows" 1/1/0
  expect "status" "$status" "$4"
  row "$1" "$2" "$5"
}

# ---- Run -----------------------------------------------------------------------------------------------------------------------------

command -v dotnet >/dev/null || die "the .NET 10 SDK is needed: https://dotnet.microsoft.com/download"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
install_if_missing curl curl
curl --parallel --parallel-immediate --version >/dev/null 2>&1 || die "curl 7.68 or newer is needed (for --parallel-immediate)"
build DemoBackend
build Gateway

run=$(date +%s)-$$
[[ $store != redis ]] || find_redis
[[ $store != postgres && $database != postgres ]] || find_postgres
start_backend
start_gateway

echo "Legacy backend $backend on $database, gateway $gateway, store: $store"
heading "A cart, seat bookings, a URL shortener. Rows: items, bookings, entries."
system cart items /cart/items '{"sku":"book-1","quantity":2}' /cart/items '{"sku":"book-1","quantity":2}' '{"sku":"book-1","quantity":3}'
system seats bookings /seats/A1/bookings '{"user":"ann"}' /seats/B2/bookings '{"user":"ann"}' '{"user":"bob"}'
system urls entries /urls '{"longUrl":"https://example.org/direct"}' \
  /urls '{"longUrl":"https://example.org/gateway"}' '{"longUrl":"https://example.org/other"}'
impatience
two_users

heading "Users, each with a welcome e-mail; the e-mail is unique. Rows: users/events/e-mails."
users

heading "Accounts at core banking and a registry: without keys (legacy), with recovery points (accounts). Rows: accounts/deposits/entries."
counters=(coreAccounts deposits registryEntries) accounts=0
all_well
lost_answer
broken_link "3 core banking's answer lost" "X-Demo-Fail-Core-Banking: after" 2/1/1 1/0/0
broken_link "4 the registry's answer lost" "X-Demo-Fail-Registry: after" 2/2/2 1/1/1
draining

cat <<TEXT
$line
rows: what the requests added to the backend's own database. replays: answers with "Idempotent-Replayed: true".
409: directly, another request was quicker; through the gateway, "in-progress" (the first is still running), or "outcome-uncertain" where
the verdict says so. none: no answer came, or the client gave up waiting.
Refuse, Probe, Retry: what a policy does with a retry when the outcome is uncertain (Uncertain:Retries in config/routes.json).
TEXT

if $keep; then
  trap - EXIT
  cat <<TEXT

Left running: DemoBackend $backend (pid $backend_pid), Gateway $gateway (pid $gateway_pid). Logs and data: ${folders[*]}
Send this twice, then change the quantity, then leave the key out:
  curl -i $gateway/cart/items -H 'Content-Type: application/json' -H 'Idempotency-Key: "try-1"' -d '{"sku":"book-1","quantity":2}'
An answer that got lost (after, before, half, 500, 503), or a slow backend (milliseconds):
  curl -i $gateway/cart/items -H 'Idempotency-Key: "try-2"' -H 'X-Demo-Fail: after' -d '{"sku":"book-1"}'
  curl -i $gateway/cart/items -H 'Idempotency-Key: "try-3"' -H 'X-Demo-Delay: 5000' -d '{"sku":"book-1"}'
What the backend really did, and what the gateway publishes about its rules:
  curl $backend/stats
  curl $gateway/.well-known/idempotency
Stop it all:
  kill ${pids[*]}; sleep 5; rm -rf ${folders[*]}
TEXT
  ((${#schemas[@]} == 0)) || echo "  psql \"\$POSTGRES_URL\" -c '$(dropping)'"
fi

if ((failures > 0)); then
  echo "${bad}$failures expectation(s) failed.$plain The end of the gateway's log:" >&2
  tail -n 20 "$tmp/Gateway.log" >&2
  exit 1
fi
