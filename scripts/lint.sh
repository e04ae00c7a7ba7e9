#!/usr/bin/env bash
# lint.sh: everything that can be said about the sources without running them. Each check is named; the exit status is 1 if any failed.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" build lint
use_cargo
cd "$ROOT"

failed=()
check() { local name=$1; shift; say "$name"; "$@" || failed+=("$name"); }

generated() {
  local fresh file stale=0
  fresh=$(mktemp -d)
  cargo run -q -p eyas-crds --bin crdgen -- "$fresh" || return 1
  # Only generated files are written there: each must be in manifests/ with the same text.
  while read -r file; do
    diff -u "manifests/$file" "$fresh/$file" || stale=1
  done < <(cd "$fresh" && find . -name '*.yaml')
  rm -rf "$fresh"
  [ $stale = 0 ] || { note "generated files are stale: make crds"; return 1; }
}
licences() {
  cargo deny --version > /dev/null 2>&1 || { note "skipped: cargo-deny is not installed"; return 0; }
  cargo deny --log-level error check licenses bans sources || return 1
  # Advisories need their database from the network; without it there is nothing to compare with.
  if cargo deny --log-level error fetch db > /dev/null 2>&1; then
    cargo deny --log-level error check advisories
  else
    note "skipped: advisories (their database cannot be fetched from here)"
  fi
}
shell() {
  have shellcheck || { note "skipped: shellcheck is not installed"; return 0; }
  git ls-files -z '*.sh' .ci/run | xargs -0 shellcheck -x
}

check "format" cargo fmt --all --check
check "clippy" cargo clippy --workspace --all-targets --locked -- -D warnings
check "generated files" generated
check "licences" licences
check "shell scripts" shell
[ ${#failed[@]} = 0 ] || { printf 'lint failed: %s\n' "${failed[@]}" >&2; exit 1; }
say "lint passed"
