#!/usr/bin/env bash
# Every figure of README's table, measured anew; exits 1 if one misses its bar.
set -uo pipefail
cd "$(dirname "$0")"
failed=0
echo "| what | measured | bar | met |"
echo "|---|---|---|---|"
for script in startup preflight death stall attach agent_cost step_time calls compile_cache dumps graph logs; do
  python "$script.py" || failed=1
done
echo
python incidents.py 2000 || failed=1
exit $failed
