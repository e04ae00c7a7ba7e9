#!/usr/bin/env bash
# test-kernels.sh [--short] [KERNEL...]: what each kernel does with our programs: `host`, and `6.1` and `6.12` (Debian's, in QEMU without KVM). Default: all.
# On each: every program passes the verifier under half of its limit, every event type of every hook comes through the ring, and
# the fields are what /proc and the calls themselves say (agent/tests/kernels, agent/tests/probe; not its floods); the agent itself tells
# what sets off each default rule, and in a virtual machine lives through a clock that is set (agent/tests/standalone, defaults and clock).
# --short leaves out agent/tests/probe, whose tests load all programs again and again: minutes of the verifier under emulation.
# Ends with a table kernel x hook x back end x fired, one of default rules, one of instructions, and the line: N passed, N failed, N skipped.
#   VM_SECONDS   how long a virtual machine may take (2400)
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
use_cargo || die "no cargo here" "scripts/setup.sh build"
cd "$ROOT"
short=
if [ "${1:-}" = --short ]; then short=yes; shift; fi
kernels=("$@"); [ $# -gt 0 ] || kernels=(host 6.1 6.12)
for kernel in "${kernels[@]}"; do
  case $kernel in host | 6.1 | 6.12) ;; *) die "no kernel '$kernel': host, 6.1, 6.12" ;; esac
done
out=target/test-kernels
mkdir -p "$out"
rm -f "$out"/*.log

# skip KERNEL WHY: names it in its log, where the last count finds it.
skip() { echo "skipped: kernel $1: $2" | tee "$out/$1.log" | sed 's/^/    /'; }

say "building the tests"
cargo test --locked -p eyas-agent --test kernels --test probe --test standalone --no-run --message-format=json 2> "$out/build.err" > "$out/build.json" ||
  { cat "$out/build.err" >&2; die "the tests do not build"; }
# binary NAME: the test binary that was just built.
binary() { sed -n "s|.*\"name\":\"$1\".*\"executable\":\"\\([^\"]*\\)\".*|\\1|p" "$out/build.json" | tail -n 1; }
# By names of their own, so that a build that goes on beside this takes nothing away.
for name in kernels probe standalone eyas-agent; do
  ln -f "$(binary $name)" "$PWD/$out/$name" || die "cargo did not say where it put the tests" "see $out/build.json"
done
at=$PWD/$out
command="echo kernel \$(uname -r); rc=0
took() { echo \"\$1 took \$SECONDS s\"; SECONDS=0; }
$at/kernels --test-threads=1 --nocapture || rc=1; took hooks
EYAS_AGENT=$at/eyas-agent $at/standalone --test-threads=1 --nocapture defaults:: clock:: || rc=1; took rules
[ -n '$short' ] || { $at/probe --test-threads=1 --show-output --skip counting:: --skip reload:: || rc=1; took fields; }
exit \$rc"

for kernel in "${kernels[@]}"; do
  log=$out/$kernel.log
  if [ "$(id -u)" != 0 ]; then skip "$kernel" "loading programs needs root"; continue; fi
  say "kernel $kernel"
  begun=$SECONDS rc=0
  if [ "$kernel" = host ]; then
    bash -c "$command" > "$log" 2>&1 || rc=$?
  else
    "$here/setup.sh" kernels || true
    if ! have qemu-system-x86_64; then skip "$kernel" "no qemu-system-x86_64 here"; continue; fi
    if [ ! -f "$CACHE/kernels/$kernel/vmlinuz" ]; then skip "$kernel" "its package could not be fetched (see above)"; continue; fi
    VM_TIMEOUT=${VM_SECONDS:-2400} e2e/vm/boot.sh "$kernel" "export EYAS_MAY_SET_CLOCK=1; $command" > "$log" 2>&1 || rc=$?
  fi
  # A machine that died says so, too: as one failed test.
  [ "$rc" = 0 ] || grep -q '^test result: FAILED' "$log" || { echo "test result: FAILED. 0 passed; 1 failed" >> "$log"; tail -n 15 "$log" >&2; }
  awk '/^failures:$/ { on = 1 } /^test result: / { on = 0 } on' "$log" >&2
  note "$(sed -n 's/^kernel //p' "$log" | head -n 1), $((SECONDS - begun)) s: $(sed -n 's/^\(.*\) took \(.* s\)$/\1 \2/p' "$log" | paste -sd,)"
done

# rows TABLE: the rows of a table of all kernels, the kernel in front.
rows() {
  for kernel in "${kernels[@]}"; do
    sed 's/^test .* \.\.\. row\t/row\t/' "$out/$kernel.log" | awk -F '\t' -v OFS='\t' -v kernel="$kernel" -v table="$1" '
      $1 == "row" && $2 == table { $1 = kernel; $2 = ""; sub("\t\t", "\t"); print }'
  done
}
# side_by_side: rows KERNEL NAME VALUE on stdin as NAME VALUE-OF-EACH-KERNEL, sorted.
side_by_side() {
  awk -F '\t' -v kernels="${kernels[*]}" '
    { names[$2]; value[$1, $2] = $3 }
    END {
      n = split(kernels, k, " ")
      for (name in names) { line = name; for (i = 1; i <= n; i++) line = line "\t" (((k[i], name) in value) ? value[k[i], name] : "-"); print line }
    }' | sort
}
# show WIDTH...: columns on stdin, the last as wide as it is.
show() { awk -F '\t' -v widths="$*" '{ n = split(widths, w, " "); for (i = 1; i < NF; i++) printf "%-*s ", w[i < n ? i : n], $i; print $NF }'; }

printf '\nDo all hooks fire?\n'
{ printf 'KERNEL\tHOOK\tEVENT\tBACK END\tFIRED\n'; rows hook; } | show 7 10 18 12
printf '\nDo the default rules fire on their triggers?\n'
{
  printf 'RULE'; printf '\t%s' "${kernels[@]}"; printf '\n'
  rows rule | side_by_side
} | show 36 14
printf '\nThe clock is set while the agent watches\n'
{
  printf 'CLOCK'; printf '\t%s' "${kernels[@]}"; printf '\n'
  rows clock | side_by_side
} | show 36 26
printf '\nInstructions that the verifier went through (fails above 500000)\n'
{
  printf 'PROGRAM'; printf '\t%s' "${kernels[@]}"; printf '\n'
  rows verifier | side_by_side
} | show 24 9
echo
grep -h '^skipped: ' "$out"/*.log | sort | uniq -c | sed 's/^ *\([0-9]*\) skipped: /    skipped: (\1) /' || true
read -r passed failed < <(cat "$out"/*.log | awk '/^test result: / { sub(/^test result: [A-Za-z]*\. /, ""); p += $1; f += $3 } END { print p + 0, f + 0 }')
skipped=$(cat "$out"/*.log | grep -c '^skipped: ' || true)
# Each skipped test counts as passed for cargo; a skipped kernel ran none.
inside=$(cat "$out"/*.log | grep '^skipped: ' | grep -vc '^skipped: kernel ' || true)
echo "$((passed - inside)) passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
