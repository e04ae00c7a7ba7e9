#!/usr/bin/env bash
# setup.sh [TIER...]: installs what is missing, and only that. With nothing missing it takes a fraction of a second.
#   build    compilers (Rust, and LLVM for the eBPF programs), for `make build` and `make run`
#   cluster  containerd and network tools, and the control plane's binary (built once from its Go sources, about ten minutes)
#   lint     cargo-deny, shellcheck
#   all      the three (default)
#   fuzz     cargo-fuzz, for `make test-long`
#   kernels  QEMU, and Debian's kernels 6.1 and 6.12 under ~/.cache/eyas/kernels, for `make test-kernels`
# Debian 12 needs nothing but apt. Elsewhere Rust comes from rustup: stable, and nightly with rust-src for the eBPF programs.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/lib.sh"

tiers=("$@"); [ $# -gt 0 ] || tiers=(all)
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else have sudo || die "not root, and sudo is missing: run as root: $*"; sudo "$@"; fi; }
packaged() { [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n 's/.*Candidate: \([^(].*\)/\1/p')" ]; }

# packages NAME...: installs those that are missing, in one go.
updated=
packages() {
  local p missing=()
  if ! have dpkg-query; then
    note "not a Debian or Ubuntu: cannot install packages here. Wanted: $*"
    return 0
  fi
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing ${#missing[@]} packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  if [ -z "$updated" ]; then
    as_root apt-get -o DPkg::Lock::Timeout=300 -q update || die "apt-get update failed: is this machine connected, and are its package sources right?"
    updated=1
  fi
  as_root apt-get -o DPkg::Lock::Timeout=300 -q install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}" "what it said stands above; mend that and run this again"
}

rust_from_debian() {
  packages rustc-web cargo-web libstd-rust-web-dev-bpf rust-web-clippy rustfmt-web "llvm-$LLVM-dev" "libpolly-$LLVM-dev" "clang-$LLVM" \
    zlib1g-dev libzstd-dev
}

linker_from_debian() {
  PATH=/usr/lib/llvm-$LLVM/bin:$PATH LLVM_PREFIX=/usr/lib/llvm-$LLVM LLVM_SYS_221_PREFIX=/usr/lib/llvm-$LLVM \
    cargo install bpf-linker --version $BPF_LINKER_VERSION --locked --no-default-features --features llvm-$LLVM
}

rust_from_rustup() {
  have rustup || packages rustup
  have rustup || die "no Rust: install rustup (https://rustup.rs), then run this again"
  use_cargo || { say "installing Rust (stable)"; rustup toolchain install stable --profile minimal -c clippy -c rustfmt; }
  rustup component list --toolchain nightly --installed 2>/dev/null | grep -q '^rust-src' && return 0
  say "installing nightly Rust with its sources, for the eBPF programs"
  rustup toolchain install nightly --profile minimal -c rust-src ||
    die "rustup could not install nightly with rust-src" "try: rustup toolchain install nightly -c rust-src"
}

setup_build() {
  packages build-essential pkg-config ca-certificates git
  if [ -n "$(dpkg-query -W -f '${Version}' libstd-rust-web-dev-bpf 2>/dev/null)" ] || { have apt-cache && packaged libstd-rust-web-dev-bpf; }; then
    rust_from_debian; from=debian
  else
    rust_from_rustup; from=rustup
  fi
  use_cargo || die "no cargo of version $(rust_wanted) or newer on this machine" "rustup update stable"
  if [ "$("${BPF_LINKER:-bpf-linker}" --version 2>/dev/null | awk '{ print $2 }')" = "" ]; then
    say "building bpf-linker $BPF_LINKER_VERSION (about three minutes)"
    if [ $from = debian ]; then linker_from_debian; else cargo +nightly install bpf-linker --version $BPF_LINKER_VERSION --locked; fi ||
      die "bpf-linker could not be built; what cargo said stands above" "run this again, or set BPF_LINKER to one that you have"
  fi
  [ -f /sys/kernel/btf/vmlinux ] || note "this kernel has no BTF: eyas-agent builds, but cannot run here (it needs Linux 5.8 with CONFIG_DEBUG_INFO_BTF)"
}

setup_cluster() {
  packages containerd runc containernetworking-plugins busybox-static iproute2 iptables nftables conntrack socat openssl python3 procps
  "$ROOT/e2e/cluster/controlplane/build.sh"
}

setup_lint() {
  use_cargo || setup_build
  packages shellcheck
  if ! cargo deny --version > /dev/null 2>&1; then
    say "building cargo-deny (a few minutes)"
    cargo install --locked cargo-deny || note "cargo-deny could not be built: make lint will say that it skipped it"
  fi
}

setup_fuzz() {
  use_cargo || setup_build
  have cargo-fuzz && return 0
  say "building cargo-fuzz (a few minutes)"
  cargo install --locked cargo-fuzz || note "cargo-fuzz could not be built: make test-long will say that it skipped fuzzing"
}

# What a test machine needs beyond what is built into Debian's kernels: its root by 9p, and containers' networks.
KERNEL_MODULES="virtio_pci 9pnet_virtio 9p overlay veth bridge"

# fetch_kernel SERIES: its newest package here -> CACHE/kernels/SERIES/{vmlinuz,release,modules/NN-NAME.ko in the order of loading}.
fetch_kernel() {
  local to=$CACHE/kernels/$1 package work release module n=0
  [ "$(cat "$to/has" 2>/dev/null)" = "$KERNEL_MODULES" ] && return 0
  package=$(apt-cache search --names-only "^linux-image-${1//./\\.}\\.[0-9.]+(-[0-9]+)?(\\+deb[0-9]+)?-amd64\$" | awk '{ print $1 }' | sort -V | tail -n 1)
  [ -n "$package" ] || { note "this machine's package sources have no kernel $1: it will be skipped"; return 0; }
  say "fetching kernel $1 ($package)"
  work=$(mktemp -d); chmod 755 "$work"
  if ! (cd "$work" && apt-get -o DPkg::Lock::Timeout=300 -q download "$package" 2>&1 | grep -v unsandboxed >&2 && dpkg-deb -x ./*.deb unpacked); then
    rm -rf "$work"
    note "$package could not be fetched: kernel $1 will be skipped"
    return 0
  fi
  release=$(basename "$work"/unpacked/boot/vmlinuz-*); release=${release#vmlinuz-}
  rm -rf "$to"; mkdir -p "$to/modules"
  depmod -b "$work/unpacked" "$release"
  for module in $KERNEL_MODULES; do modprobe -d "$work/unpacked" -S "$release" --show-depends "$module"; done |
    awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$work/order"
  while read -r module; do
    n=$((n + 1))
    case $module in
      *.xz) xz -dc "$module" > "$to/modules/$(printf %02d $n)-$(basename "$module" .xz)" ;;
      *) cp "$module" "$to/modules/$(printf %02d $n)-$(basename "$module")" ;;
    esac
  done < "$work/order"
  cp "$work/unpacked/boot/vmlinuz-$release" "$to/vmlinuz"
  echo "$release" > "$to/release"
  echo "$KERNEL_MODULES" > "$to/has"
  rm -rf "$work"
}

setup_kernels() {
  if ! have apt-cache || [ "$(uname -m)" != x86_64 ]; then
    note "not a Debian or Ubuntu on x86_64: no kernels for virtual machines here"
    return 0
  fi
  packages qemu-system-x86 busybox-static cpio kmod xz-utils
  fetch_kernel 6.1
  fetch_kernel 6.12
}

for tier in "${tiers[@]}"; do
  case $tier in
    build) setup_build ;;
    cluster) setup_cluster ;;
    lint) setup_lint ;;
    fuzz) setup_fuzz ;;
    kernels) setup_kernels ;;
    all) setup_build; setup_lint; setup_cluster ;;
    *) die "no tier '$tier': build, cluster, lint, fuzz, kernels, all" ;;
  esac
done
