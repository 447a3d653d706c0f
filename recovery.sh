#!/usr/bin/env bash
# Makes the table of docs/recovery.md from a run: each fault, for each kind of backend and policy, with a real gateway and backend.
# The suite makes it too, and fails when the document says something else.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

dotnet build tests/Gateway.Tests -c Release --nologo -v quiet -clp:NoSummary </dev/null
RECOVERY_TABLE=write dotnet test tests/Gateway.Tests -c Release --no-build --nologo --filter FullyQualifiedName~RecoveryTableTests </dev/null
git diff --stat -- docs/recovery.md
