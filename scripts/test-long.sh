#!/usr/bin/env bash
# test-long.sh: what takes too long for every change. Fuzzing of all that reads other people's input, the comparison of the plan with
# plain evaluation over a million generated cases, and the release agent on this kernel under floods and reloads (needs root).
# Says what it skipped and why; ends with 1 when anything failed.
#   FUZZ_SECONDS   for each fuzz target (60 by default: five to six minutes in all)
#   EYAS_CASES     generated cases of each property test of the engine (1000000)
#   EYAS_FLOOD_SECONDS   of 200,000 opens a second against the release agent (20), each
#   EYAS_CONTAINERS   made and removed in turn (20000: more than the agent keeps)
#   EYAS_RELOADS   changes of the rules under 10,000 opens a second (1000: a minute)
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" fuzz
use_cargo
cd "$ROOT"
failed=0

say "fuzzing, ${FUZZ_SECONDS:=60} s for each target"
"$here/fuzz.sh" "$FUZZ_SECONDS" || failed=1

say "plan and plain evaluation, ${EYAS_CASES:=1000000} cases"
if grep -rq EYAS_CASES engine/src engine/tests --include=*.rs; then
  EYAS_CASES=$EYAS_CASES cargo test --release -p eyas-engine --locked || failed=1
else
  echo "skipped: the long comparison, as no test of the engine reads EYAS_CASES"
fi

# live WHAT FILTER NAME=VALUE...: tests of the release agent on this kernel, longer than `make test` has them.
live() {
  local what=$1 filter=$2
  shift 2
  say "$what ($*)"
  env "$@" cargo test --release --locked -p eyas-agent --test standalone -- "$filter" --nocapture || failed=1
}
live "floods" flood:: EYAS_FLOOD_SECONDS="${EYAS_FLOOD_SECONDS:-20}"
live "reloads" reloads:: EYAS_RELOADS="${EYAS_RELOADS:-1000}"
live "containers in turn" containers:: EYAS_CONTAINERS="${EYAS_CONTAINERS:-20000}"
exit "$failed"
