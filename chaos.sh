#!/usr/bin/env bash
# Random faults against several gateways on one store, and a check of every answer:
#   ./chaos.sh [--minutes N] [--seed S] [--store redis|cluster|postgres|embedded] [--gateways G] [--defects A,B] [--answers apart] [--program DLL]
# The same seed makes the same choices; the machine's timing still differs. Ends with a summary; exit code 1 on any violation.
# With --answers apart, large answers are kept in a Redis that dies, hangs and is emptied. With --defects, gateways have these deliberate defects (see tests/Gateway.Tests/Faults/Defects.cs), and a violation is what to hope for; so it is with --program, another build's Gateway.dll, from release 0.1.0 on.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

minutes=3 seed=$((RANDOM * 32768 + RANDOM)) store=redis gateways=3 defects= answers= program=
while (($# > 0)); do
  case "$1 ${2:-}" in
    "--minutes "?*) minutes="$2" ;;
    "--seed "?*) seed="$2" ;;
    "--store redis" | "--store cluster" | "--store postgres" | "--store embedded") store="$2" ;;
    "--gateways "?*) gateways="$2" ;;
    "--defects "?*) defects="$2" ;;
    "--answers apart") answers="$2" ;;
    "--program "?*) program="$(cd "$OLDPWD" && realpath "$2")" ;;
    *)
      sed -n '2,5s/^# //p' "$0" >&2
      exit 2
      ;;
  esac
  shift 2
done

if [[ -n "$program" && -n "$defects" ]]; then
  echo "chaos.sh: --defects are of this build, and --program is another" >&2
  exit 2
fi

work="$(mktemp -d)"
tail=
trap '[[ -n "$tail" ]] && kill "$tail" 2>/dev/null; rm -rf "$work"' EXIT

dotnet build Gateway.sln -c Release --nologo -v quiet -clp:NoSummary </dev/null >"$work/build" 2>&1 || { cat "$work/build"; exit 1; }

: >"$work/log"
tail -n +1 -f "$work/log" &
tail=$!

CI=true CHAOS_STORE="$store" CHAOS_MINUTES="$minutes" CHAOS_SEED="$seed" CHAOS_GATEWAYS="$gateways" CHAOS_DEFECTS="$defects" CHAOS_ANSWERS="$answers" CHAOS_GATEWAY="$program" CHAOS_LOG="$work/log" \
  dotnet test tests/Gateway.Tests -c Release --no-build --nologo --filter FullyQualifiedName~Gateway.Tests.Chaos.ChaosTests.RandomFaults </dev/null >"$work/test" 2>&1
status=$?

sleep 1
kill "$tail"
wait "$tail" 2>/dev/null
tail=
# What is not in the log: a run that never came to its end.
if ! grep -q '^chaos: .* violations$' "$work/log"; then
  cat "$work/test"
  echo "chaos: seed $seed: the run did not come to its end"
  exit 1
fi
exit "$status"
