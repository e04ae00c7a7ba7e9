#!/usr/bin/env bash
# test.sh: every test. First the crates' own, then the default rules' own, then e2e: a real API server, kubelet, containerd and kernel.
# Prints what was skipped and why, and ends with one line: N passed, N failed, N skipped.
#   EYAS_SKIP_VM=1    leaves out Debian's 6.1 in a virtual machine, which takes minutes as there is no KVM (`make test-kernels` has more)
#   EYAS_SKIP_E2E=1   leaves out the part that needs a cluster
#   KUBECONFIG        e2e runs against that cluster (Eyas is installed into it) instead of one of its own
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" build
use_cargo
cd "$ROOT"
mkdir -p target
log=target/test.log
: > "$log"

# show [all]: shows a run of cargo test as it goes: what failed with its output, what was skipped with its reason, and one line per binary;
# `all`: also each test and what it printed. The whole is in the log. With --show-output the output of each test stands in a section of its
# own, so that a line that begins with `skipped: ` is one test's.
show() {
  tee -a "$log" | awk -v all="${1:-}" '
    /^ *Running |^ *Doc-tests / { what = $0; sub(/^ *(Running|Doc-tests) /, "", what); sub(/ \(.*/, "", what) }
    /^failures:$/ { failing = 1 }
    /^successes:$/ { succeeding = !succeeding; next }
    /^test result: / { printf "    %-34s %s\n", what, $0; fflush(); failing = succeeding = 0; next }
    failing { print; fflush(); next }
    /^test .* \.\.\. FAILED/ || /^error/ || /panicked at/ || (all && /^test .* \.\.\. /) { print; fflush(); next }
    /^ *skipped: / || (all && succeeding && /./ && !/^----/ && !/^    [a-z_:0-9]+$/) { print "      " $0; fflush(); next }
    all && /^ *[0-9.]+s  / { print; fflush() }'
}
count() { grep -c "$1" "$log" || true; }

say "tests of the crates"
cargo test --workspace --exclude eyas-e2e --locked --no-fail-fast -- --show-output 2>&1 | show || failed_run=1

say "the default rules' own tests"
"$here/build.sh" || die "the release build failed"
if target/release/kubectl-eyas test manifests/rules > target/rules-test.log 2>&1; then
  tail -n 1 target/rules-test.log >&2; rules_failed=0
else
  cat target/rules-test.log >&2; rules_failed=1
fi

say "kernels"
# This kernel had its turn among the crates' tests (agent/tests/kernels, agent/tests/probe, agent/tests/standalone).
if [ -n "${EYAS_SKIP_VM:-}" ]; then
  echo "    skipped: kernel 6.1 in a virtual machine, as EYAS_SKIP_VM is set" | tee -a "$log"
else
  "$here/test-kernels.sh" --short 6.1 2>&1 | tee target/test-kernels.log || failed_run=1
  # Its last line counts them, its table of what was skipped names the reasons.
  awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { printf "test result: kernels. %d passed; %d failed; %d skipped\n", $1, $3, $5 }' \
    target/test-kernels.log >> "$log"
fi

say "end to end"
if [ -n "${EYAS_SKIP_E2E:-}" ]; then
  echo "    skipped: end-to-end tests, as EYAS_SKIP_E2E is set" | tee -a "$log"
elif [ "$(id -u)" != 0 ]; then
  echo "    skipped: end-to-end tests, as they need root" | tee -a "$log"
elif ! "$here/setup.sh" cluster; then
  echo "    skipped: end-to-end tests, as the cluster's tools could not be set up (see above)" | tee -a "$log"
else
  "$here/e2e.sh" 2>&1 | show all || failed_run=1
fi

read -r passed failed < <(awk '/^test result: / { p += $4; f += $6 } END { print p + 0, f + 0 }' "$log")
kernels_skipped=$(awk '/^test result: kernels/ { n += $8 } END { print n + 0 }' "$log")
skipped=$(($(count '^ *skipped: ') + kernels_skipped))
failed=$((failed + rules_failed))
# A run that broke off (a build error) failed even if no test says so.
if [ "${failed_run:-0}" = 1 ] && [ "$failed" = 0 ]; then failed=1; fi
# Each skipped test counts as passed for cargo.
inside=$(grep -c '^skipped: ' "$log" || true)
echo "$((passed - inside)) passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
