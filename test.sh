#!/usr/bin/env bash
# Runs every test against real servers: ./test.sh [arguments of dotnet test, such as --filter NAME]
# The last line is always "N passed, N failed" (and ", N skipped" when any were).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

finish() { # passed failed skipped exit-code
  local line="$1 passed, $2 failed"
  if (($3 > 0)); then line+=", $3 skipped"; fi
  echo "$line"
  exit "$4"
}

apt_get() {
  local as=()
  if ((EUID != 0)) && command -v sudo >/dev/null; then as=(sudo); fi
  # Lists may be absent (a fresh image) or stale; a package source that is down must not hang the run.
  "${as[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o Acquire::http::Timeout=30 "$@" </dev/null
}

# has PROGRAM: in PATH, or where Debian keeps the programs of PostgreSQL's server.
has() { command -v "$1" >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/$1" >/dev/null; }

# need PROGRAM PACKAGE: installs Debian's package when the program is missing.
need() {
  if has "$1"; then return; fi
  echo "test.sh: $1 is missing, installing Debian's $2"
  if command -v apt-get >/dev/null && apt_get update -qq && apt_get install -qq -y --no-install-recommends "$2" && has "$1"; then
    return
  fi
  if [[ "${CI:-}" == true ]]; then
    echo "test.sh: $1 cannot be installed, and in continuous integration tests may not be skipped" >&2
    finish 0 0 0 1
  fi
  echo "test.sh: $1 cannot be installed; tests that need it are skipped"
}

if [[ -z "${REDIS_URL:-}" ]]; then need redis-server redis-server; fi
if [[ -z "${POSTGRES_URL:-}" ]]; then need postgres postgresql; fi
need faketime faketime

results="$(mktemp -d)"
trap 'rm -rf "$results"' EXIT

dotnet test Gateway.sln -c Release --logger trx --results-directory "$results" "$@" </dev/null
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
