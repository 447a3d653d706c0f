#!/usr/bin/env bash
# Mutation testing (Stryker): changes the code in small ways and asks whether a test notices. tests/mutate.sh [core | decision]
# core, the default: the pure core against its unit tests. decision: the decision and its switch against tests/quick.txt.
# Prints a table, and every survivor with its place; the reports stand in artifacts/mutation. Not part of continuous integration.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# joined CLASSES: a filter for all tests whose full name has one of these in it.
joined() { sed 's/^/FullyQualifiedName~/' <<<"$1" | paste -sd '|'; }

# mutate PROJECT CLASSES FILES: the classes one a line, the files beneath the project's folder.
mutate() {
  local project=$1 tests=$2 file args=()
  shift 2
  for file; do args+=(--mutate "**/$file"); done
  # In Debug: a run that is stopped may leave mutated assemblies there, and what is measured and shipped is built in Release.
  (cd tests/Gateway.Tests && dotnet stryker --project "$project.csproj" --configuration Debug --test-case-filter "$(joined "$tests")" \
    "${args[@]}" --concurrency "${MUTATE_CONCURRENCY:-1}" --break-on-initial-test-failure --skip-version-check \
    --reporter json --reporter progress --output "$output/$project")
}

output=$PWD/artifacts/mutation/${1:-core}
rm -rf "$output"
dotnet tool restore >/dev/null
case "${1:-core}" in
  core)
    unit=$'Tests.Idempotency.ForwardOutcomeTests\nTests.Idempotency.IdempotencyKeyTests\nTests.Idempotency.CanonicalJsonTests
Tests.Idempotency.RequestFingerprintTests\nTests.Idempotency.FieldHashTests\nTests.Idempotency.RecordedHeadersTests
Tests.Idempotency.RequestContentTests\nTests.Policies.\nTests.Storage.RecordFormat\nTests.Storage.RecordRulesTests'
    mutate Idempotency.Storage "$unit" RecordRules.cs RecordFormat.cs
    mutate Idempotency.Yarp "$unit" Execution/ForwardOutcome.cs Identity/IdempotencyKey.cs Identity/RequestFingerprint.cs \
      Identity/OlderFingerprint.cs Identity/FieldHash.cs Requests/CanonicalJson.cs Answers/RecordedHeaders.cs Policies/Selector.cs Policies/JsonPointer.cs
    ;;
  decision)
    mutate Idempotency.Yarp "$(grep -v '^#' tests/quick.txt | grep .)" IdempotencyMiddleware.cs Execution/ClaimedRequest.cs
    ;;
  *)
    sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
