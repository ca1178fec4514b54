#!/usr/bin/env bash
# Everything that takes too long for CI. Goes on after a step that failed; the exit code tells.
set -uo pipefail
cd "$(dirname "$0")/../.."
code=0

step() {
  printf '\n== %s\n' "$1"
  shift
  "$@" || code=1
}

drills() { diagnose drill --all --times 3 --jobs 2 --format json | python tests/drills/table.py; }

step "every drill three times (writes the table of README)"  drills
step "every drill that hangs, attached to"                   python tests/drills/attach.py
step "200 kills of our own processes at random moments"      python tests/drills/kills.py
step "Modal: a preemption, a stop, 20 kills of a container"      pytest -q -m slow tests/modal
step "compile caches: seed and capture killed at 250 points"        pytest -q -m slow tests/caching
step "pre-flight: a rehearsed hang, and one whose evidence is cut off" pytest -q -m slow tests/preflight
step "real runs that differ in one planted thing, and reduced presets"  pytest -q -m slow tests/cli
step "a log of 10 GB"                                        python tests/drills/big_log.py
exit $code
