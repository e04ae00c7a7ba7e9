#!/usr/bin/env bash
# build.sh: the three binaries, static, into target/release/. Static binaries run on any node and in an image over nothing.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
use_cargo || die "no cargo: run scripts/setup.sh build"
cd "$ROOT"
target=$(uname -m)-unknown-linux-gnu
out=${CARGO_TARGET_DIR:-target}
# Naming the target keeps the flag away from build scripts and procedural macros, which cannot be static.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" cargo build --release --locked --target "$target" \
  -p eyas-agent -p eyas-operator -p eyas-cli --bins
mkdir -p "$out/release"
for b in eyas-agent eyas-operator kubectl-eyas; do ln -f "$out/$target/release/$b" "$out/release/$b"; done
say "built $out/release/{eyas-agent,eyas-operator,kubectl-eyas}"
