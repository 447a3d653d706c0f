#!/usr/bin/env bash
# Mutation tests: tests/mutate.sh [core | decision] changes the code in small ways, one at a time, and counts the changes that no test notices.
#   core      the pure core, against its unit tests
#   decision  the decision and its switch, against tests/quick.txt
# Prints each change that survived, and a table; Stryker's reports stay in artifacts/mutation. It takes long, and is no part of continuous
# integration. It needs jq. Its builds are Debug ones: when it is stopped, changed assemblies stay behind in their place.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

export RunAnalyzers=false # for changed code need not keep to the house's style

set=${1:-core}
if [[ "$set" != core && "$set" != decision ]]; then
  sed -n '2,4s/^# //p' mutate.sh >&2
  exit 2
fi

output=$PWD/../artifacts/mutation/$set

# mutate PROJECT FILE...: files of one project, against $classes (each a part of a class's full name).
mutate() {
  local project=$1 files=() filter
  shift
  for file; do files+=(--mutate "**/$file"); done
  filter=$(printf '|FullyQualifiedName~%s' "${classes[@]}")
  (cd Gateway.Tests && dotnet stryker --project "$project.csproj" --configuration Debug --test-case-filter "${filter:1}" "${files[@]}" --concurrency 1 \
    --break-on-initial-test-failure --skip-version-check --reporter json --reporter progress --output "$output/$project")
}

command -v jq >/dev/null || { echo "mutate.sh: jq is missing" >&2; exit 1; }
rm -rf "$output"
dotnet tool restore >/dev/null
case "$set" in
  core)
    classes=(Idempotency.{ForwardOutcome,IdempotencyKey,CanonicalJson,RequestFingerprint,FieldHash,RecordedHeaders,RequestContent}Tests
      Policies.{Selector,JsonPointer}Tests Storage.Record{Rules,Format})
    mutate Idempotency.Storage RecordRules.cs RecordFormat.cs
    mutate Idempotency.Yarp Execution/ForwardOutcome.cs Identity/{IdempotencyKey,RequestFingerprint,OlderFingerprint,FieldHash}.cs \
      Requests/CanonicalJson.cs Answers/RecordedHeaders.cs Policies/{Selector,JsonPointer}.cs
    ;;
  decision)
    mapfile -t classes < <(grep '^Gateway' quick.txt)
    mutate Idempotency.Yarp {IdempotencyMiddleware,Decider,Decision}.cs Requests/UnfitRequests.cs Claims/ClaimTerms.cs Answers/Observation.cs \
      Execution/{ForwardRunner,ClaimedForward}.cs
    ;;
esac

jq -rs '
  def counted: select(.status == "Killed" or .status == "Timeout" or .status == "Survived" or .status == "NoCoverage");
  def survived: select(.status == "Survived" or .status == "NoCoverage");
  def row($name): [$name, length, (map(survived) | length)] | [.[0], .[1], .[1] - .[2], .[2], (1000 * (.[1] - .[2]) / .[1] | round / 10)] | @tsv;
  [.[].files | to_entries[] | {name: (.key | split("/") | last), mutants: [.value.mutants[] | counted]} | select(.mutants != [])]
  | (.[] | .name as $name | .mutants | sort_by(.location.start.line)[] | survived
    | "\($name):\(.location.start.line):\(.location.start.column) \(.mutatorName) -> \(.replacement | gsub("\\s+"; " "))"),
    "", (["file", "mutants", "killed", "survived", "%"] | @tsv), (.[] | .name as $name | .mutants | row($name)), (map(.mutants[]) | row("all"))
' "$output"/*/reports/mutation-report.json | expand -t 30,40,50,60
