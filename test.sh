#!/usr/bin/env bash
# Runs every test against real servers: ./test.sh [--quick | --containers] [arguments of dotnet test, such as --filter NAME]
# With --quick, those of tests/quick.txt, which need no server: in less than a minute and a half.
# With --containers, the tests of the stores (or those of --filter) have their shared servers in containers, on an engine that ends with the run.
# The last line is always "N passed, N failed" (and ", N skipped" when any were).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

engine_process= engine_input=
end_engine() {
  if [[ -z "$engine_process" ]]; then return; fi
  exec {engine_input}>&-
  wait "$engine_process" 2>/dev/null
  engine_process=
}

finish() { # passed failed skipped exit-code
  end_engine
  local line="$1 passed, $2 failed"
  if (($3 > 0)); then line+=", $3 skipped"; fi
  echo "$line"
  exit "$4"
}

as_root=()
if ((EUID != 0)) && command -v sudo >/dev/null; then as_root=(sudo); fi

apt_get() {
  # Lists may be absent (a fresh image) or stale; a package source that is down must not hang the run.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@" </dev/null
}

# has PROGRAM: in PATH, or where Debian keeps the programs of PostgreSQL's server.
has() { command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null; }

# A server's package starts it where an init system runs; here it must not run but for the tests.
install_stopped() {
  local policy=/usr/sbin/policy-rc.d made=false status
  if [[ ! -e "$policy" ]]; then
    printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$policy" && made=true
  fi
  apt_get install -qq -y --no-install-recommends "$1"
  status=$?
  if [[ "$made" == true ]]; then "${as_root[@]}" rm "$policy"; fi
  return $status
}

# need PROGRAM PACKAGE: installs Debian's package when the program is missing.
need() {
  PATH+=:/usr/sbin:/sbin # not in a user's
  if has "$1"; then return; fi
  echo "test.sh: $1 is missing, installing Debian's $2"
  if command -v apt-get >/dev/null && apt_get update -qq && install_stopped "$2" && has "$1"; then
    return
  fi
  if [[ "${CI:-}" == true ]]; then
    echo "test.sh: $1 cannot be installed, and in continuous integration tests may not be skipped" >&2
    finish 0 0 0 1
  fi
  echo "test.sh: $1 cannot be installed; tests that need it are skipped"
}

# Sets what tells the tests that there is an engine and that nothing else will do; see tests/containers/engine.sh.
start_engine() {
  local program
  need dockerd docker.io
  need docker docker-cli
  need debootstrap debootstrap
  need ip iproute2
  for program in dockerd docker debootstrap ip; do
    if ! has "$program"; then
      echo "test.sh: --containers needs $program" >&2
      finish 0 0 0 1
    fi
  done

  echo "test.sh: starting a Docker engine, with images made from Debian's packages (a minute)"
  local word= output
  # A session of its own: an interrupt from the keyboard is ours, and the engine ends when its input does.
  coproc ENGINE { exec "${as_root[@]}" setsid --wait tests/containers/engine.sh "$(id -g)"; }
  engine_process=$ENGINE_PID output=${ENGINE[0]} engine_input=${ENGINE[1]}
  read -r -t 900 word DOCKER_HOST DOCKER_API_VERSION <&"$output"
  if [[ "$word" != ready ]]; then
    echo "test.sh: the Docker engine did not start" >&2
    finish 0 0 0 1
  fi
  unset REDIS_URL POSTGRES_URL DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
  export DOCKER_HOST DOCKER_API_VERSION TESTCONTAINERS_HOST_OVERRIDE=127.0.0.1 TESTCONTAINERS_RYUK_DISABLED=true
  export TEST_SERVERS=containers REDIS_IMAGE=gateway-tests/redis POSTGRES_IMAGE=gateway-tests/postgres
}

results="$(mktemp -d)"
trap 'end_engine; rm -rf "$results"' EXIT

arguments=() containers=false quick=false selected=false
for argument in "$@"; do
  case "$argument" in
    --containers) containers=true; continue ;;
    --quick) quick=true; continue ;;
    --filter*) selected=true ;;
  esac
  arguments+=("$argument")
done

if [[ "$quick" == true ]]; then
  if [[ "$containers" == true || "$selected" == true ]]; then
    echo "test.sh: --quick has a selection of its own (tests/quick.txt), and goes with neither --containers nor --filter" >&2
    finish 0 0 0 1
  fi
  arguments+=(--filter "$(sed -n 's/^[^#]/FullyQualifiedName~&/p' tests/quick.txt | paste -sd '|')")
elif [[ "$containers" == true ]]; then
  start_engine
  if [[ "$selected" == false ]]; then
    arguments+=(--filter "FullyQualifiedName~Gateway.Tests.Storage|FullyQualifiedName~CrashPointTests|FullyQualifiedName~SharedServerTests")
  fi
fi
if [[ "$quick" == false ]]; then
  if [[ -z "${REDIS_URL:-}" ]]; then need redis-server redis-server; fi
  if [[ -z "${POSTGRES_URL:-}" ]]; then need postgres postgresql; fi
  need faketime faketime
  need nginx nginx-light
  need node nodejs
  need npm npm

  # Real clients from the npm registry, as locked; again when the lock file is newer.
  if has npm && [[ ! -e tests/clients/node_modules/.package-lock.json || tests/clients/package-lock.json -nt tests/clients/node_modules/.package-lock.json ]]; then
    echo "test.sh: installing the npm packages of tests/clients"
    if ! (cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null) && [[ "${CI:-}" == true ]]; then
      echo "test.sh: the npm packages cannot be installed, and in continuous integration tests may not be skipped" >&2
      finish 0 0 0 1
    fi
  fi
fi

dotnet test Gateway.sln -c Release --logger trx --results-directory "$results" "${arguments[@]}" </dev/null
status=$?

# One .trx file per test project; each has one <Counters> element. What was neither passed nor failed was skipped.
shopt -s nullglob
read -r passed failed skipped < <(cat /dev/null "$results"/*.trx | awk '
  function counter(name) { return match($0, " " name "=\"[0-9]+\"") ? substr($0, RSTART + length(name) + 3, RLENGTH - length(name) - 4) : 0 }
  /<Counters / { total += counter("total"); passed += counter("passed"); failed += counter("failed") + counter("error") + counter("timeout") + counter("aborted") }
  END { print passed + 0, failed + 0, total - passed - failed }')

if ((status != 0 && failed == 0)); then
  echo "test.sh: dotnet test ended with exit code $status although no test failed; counted as one failure"
  failed=1
elif ((passed + failed == 0)); then
  echo "test.sh: no test ran"
  status=1
elif ((failed > 0)); then
  status=1
fi
finish "$passed" "$failed" "$skipped" "$status"
