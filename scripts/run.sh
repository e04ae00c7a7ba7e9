#!/usr/bin/env bash
# run.sh [ARGS...]: builds, then watches this machine with the default rules. Ctrl-C ends it with a summary.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" build
"$here/build.sh"
cd "$ROOT"
agent=(target/release/eyas-agent run --rules "${RULES:-manifests/rules}" --state "${STATE:-target/run-state}" "$@")
if [ "$(id -u)" != 0 ]; then
  have sudo || die "loading eBPF programs needs root (or CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE)"
  agent=(sudo "${agent[@]}")
fi
say "watching this machine; try in another terminal: cat /etc/shadow"
exec "${agent[@]}"
