# shellcheck shell=bash
# lib.sh: what the scripts share. Sourced, never run.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/eyas
# shellcheck disable=SC2034
GO_FOR_CACHE=$CACHE/go
# shellcheck disable=SC2034
LLVM=22
# shellcheck disable=SC2034
BPF_LINKER_VERSION=0.13.0

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }
note() { printf '    %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$1" >&2; shift; for l in "$@"; do printf '       %s\n' "$l" >&2; done; exit 2; }
have() { command -v "$1" > /dev/null 2>&1; }
# at_least HAVE WANT: compares version numbers.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

# use_cargo: the first cargo that is new enough: the PATH's (rustup's, usually), else Debian's in /usr/bin.
rust_wanted() { sed -n 's/^rust-version = "\(.*\)"/\1/p' "$ROOT/Cargo.toml"; }
cargo_version() { (cd "$ROOT" && "$1" --version 2>/dev/null) | awk '{ print $2 }'; }
use_cargo() {
  local want version
  want=$(rust_wanted)
  [ -d "$HOME/.cargo/bin" ] && PATH=$PATH:$HOME/.cargo/bin
  version=$(cargo_version cargo || true)
  if [ -z "$version" ] || ! at_least "$version" "$want"; then
    version=$(cargo_version /usr/bin/cargo || true)
    { [ -n "$version" ] && at_least "$version" "$want"; } || return 1
    # rustup's cargo, if there is one, is too old: take Debian's compiler too, not only its cargo.
    export PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc RUSTDOC=/usr/bin/rustdoc
  fi
}
