#!/usr/bin/env bash
# bench.sh: what Eyas costs on this machine, as figures beside what is aimed at. Nothing else should run meanwhile.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"
"$here/setup.sh" build
"$here/build.sh"
use_cargo
cd "$ROOT"
# As build.sh does, so that what both need is built once.
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" EYAS_RELEASE=$ROOT/target/release \
  cargo run --release --locked --target "$(uname -m)-unknown-linux-gnu" -q -p eyas-benches --bin bench -- "$@"
