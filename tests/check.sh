#!/usr/bin/env bash
# Everything CI runs; people run the same through `make test`. Stops at the first step that fails.
set -uo pipefail
cd "$(dirname "$0")/.."

step() {
  local what=$1 begun=$SECONDS
  shift
  printf '\n== %s\n' "$what"
  "$@" || { printf '\nFAILED: %s\n  %s\n' "$what" "$*" >&2; exit 1; }
  printf '   %s s\n' $((SECONDS - begun))
}

# What starts processes of its own mostly waits; with ranks it runs alone: beside others they would be late.
TIMED=(tests/cli tests/drills tests/hook tests/modal tests/preflight tests/probes tests/test_contracts.py tests/test_readme.py)

read_over() {
  step "format"      ruff format --check --quiet .
  step "lint"        ruff check --quiet .
  step "types"       mypy
  step "layers"      pytest -q tests/test_layers.py
  step "wheel"       pytest -q tests/test_wheel.py
}

# Beside what mostly waits; the output comes in one piece. In a group of its own: it is ended with all it started.
told=$(mktemp)
set -m
read_over >"$told" 2>&1 </dev/null &
reading=$!
set +m
trap 'kill -- "-$reading" 2>/dev/null; rm -f "$told"' EXIT
step "waits"         pytest -q -m "not slow and not ranks" -n 3 --durations=5 "${TIMED[@]}"
wait "$reading" || { cat "$told"; exit 1; }
cat "$told"
step "tests"         pytest -q -m "not slow" -n 2 --durations=15 --ignore=tests/test_layers.py --ignore=tests/test_wheel.py "${TIMED[@]/#/--ignore=}"
step "jobs"          pytest -q -m "not slow and ranks" --durations=25 "${TIMED[@]}"

printf '\nall checks passed in %s s\n' "$SECONDS"
