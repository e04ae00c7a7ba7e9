#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: fuzzes each target for that long, one after the other, and says what came of it. Ends with 1 when
# something crashed, hung or took too much memory; the input is then in fuzz/artifacts/TARGET.
#   targets       those in fuzz_targets; all of them by default. `object` builds the Kubernetes
#                 types, which takes minutes the first time: left out when SECONDS is under 60 and it has not been built
#   corpus        fuzz/corpus/TARGET is read; what is found grows in fuzz/work/TARGET and is taken up again the next time
#   fuzz.sh min   folds fuzz/work into fuzz/corpus, the fewest small inputs that reach as much
# Bounds: 512 MB in all, 64 MB in one allocation, 16 KB of input, 10 s for one.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
use_cargo || die "no cargo: run make setup"
seconds=${1:?"usage: fuzz.sh SECONDS [TARGET...]"}; shift
cd "$ROOT/fuzz"
have cargo-fuzz || { echo "skipped: fuzzing, as cargo-fuzz is not installed (scripts/setup.sh fuzz)"; exit 0; }

# The sanitizer's flags are nightly's; the stable compiler takes them when told so.
toolchain=()
if have rustup && rustup toolchain list | grep -q '^nightly'; then toolchain=(+nightly); else export RUSTC_BOOTSTRAP=1; fi
targets=("$@")
if [ ${#targets[@]} = 0 ]; then
  for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi
bin=target/x86_64-unknown-linux-gnu/release
features() { if [ "$1" = object ]; then echo "--features=objects"; fi; }

if [ "$seconds" = min ]; then
  for target in "${targets[@]}"; do
    [ -d "work/$target" ] || continue
    new=$(mktemp -d)
    "$bin/$target" -merge=1 -max_len=1024 "$new" "corpus/$target" "work/$target" > /dev/null 2>&1 || die "merging $target failed"
    rm -rf "corpus/$target"; mkdir -p "corpus/$target"
    # At most 150 of all sizes and 30 KB: the repository keeps seeds, no collection.
    find "$new" -type f -printf '%s %f\n' | sort -n |
      awk '{ size[NR] = $1; name[NR] = $2 }
        END { step = NR > 150 ? NR / 150 : 1
          for (n = 1; n <= NR; n += step) { i = int(n); if (sum + size[i] <= 30000) { sum += size[i]; print name[i] } } }' |
      while read -r name; do cp "$new/$name" "corpus/$target/"; done
    rm -rf "$new"
    note "$target: $(find "corpus/$target" -type f | wc -l) inputs"
  done
  exit 0
fi

failed=0
for target in "${targets[@]}"; do
  if [ "$target" = object ] && [ ! -x "$bin/object" ] && [ "$seconds" -lt 60 ]; then
    echo "skipped: fuzzing of object files, as its target is not built (scripts/fuzz.sh 60 object)"
    continue
  fi
  mkdir -p "work/$target" "corpus/$target" "artifacts/$target"
  log=work/$target.log
  # shellcheck disable=SC2046
  if ! cargo "${toolchain[@]}" fuzz build "$target" $(features "$target") > "$log" 2>&1; then
    tail -n 20 "$log" >&2
    # What is wrong with our own sources is no want of this machine's.
    if grep -q 'could not compile `eyas' "$log"; then
      failed=1
      note "$target: does not compile; the whole is in fuzz/$log"
      continue
    fi
    echo "skipped: fuzzing of $target, as it does not build here (above; whole in fuzz/$log)"
    continue
  fi
  if "$bin/$target" -max_total_time="$seconds" -max_len=16384 -rss_limit_mb=512 -malloc_limit_mb=64 -timeout=10 \
    -print_final_stats=1 -dict=words.dict -artifact_prefix="artifacts/$target/" "work/$target" "corpus/$target" > "$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    note "$target: ${runs:-?} executions, nothing found"
  else
    failed=1
    grep -E 'ERROR|panicked|SUMMARY|Test unit written' "$log" >&2 || tail -n 20 "$log" >&2
    note "$target: crashed; the whole is in fuzz/$log"
  fi
done
exit "$failed"
