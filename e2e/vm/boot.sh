#!/usr/bin/env bash
# boot.sh SERIES COMMAND: boots the kernel that `setup.sh kernels` fetched for SERIES (6.1, 6.12) in QEMU, runs a shell command in it on
# the host's own root (read-only, writes go to the machine's memory), passes on what it prints, and ends with its exit code (0..127).
# 125: the machine did not come up or did not end in time; then the end of its console is on stderr.
# VM_TIMEOUT (seconds, 300), VM_MEMORY (MiB, 3072), VM_APPEND (more kernel arguments). Without KVM, so some ten times slower than here; one processor, since
# two sometimes die under emulation while the kernel rewrites its own code; its timer is not tried, which fails where this machine is busy. Leaves no file behind.
here=$(dirname "$0")
# shellcheck source=scripts/lib.sh
source "$here/../../scripts/lib.sh"
[ $# = 2 ] || die "boot.sh SERIES COMMAND"
kernel=$CACHE/kernels/$1
[ -f "$kernel/vmlinuz" ] || die "no kernel in $kernel" "scripts/setup.sh kernels"

work=$(mktemp -d)
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2> /dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/root/bin" "$work/root/modules"
cp /bin/busybox "$work/root/bin/"
cp "$kernel"/modules/*.ko "$work/root/modules/"
install -m 755 "$here/init" "$work/root/init"
printf '%s\n' "$2" > "$work/root/command"
(cd "$work/root" && find . | cpio --quiet -o -H newc | gzip -1) > "$work/initrd"
rm -rf "$work/root"

mkfifo "$work/serial"
stdbuf -oL tr -d '\r' < "$work/serial" | tee "$work/console" | sed -un '/^=====BEGIN/,/^=====END/ { /^=====/! p }' &
reader=$!
timeout "${VM_TIMEOUT:-300}" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 1 -m "${VM_MEMORY:-3072}" \
  -nodefaults -nographic -no-reboot -serial stdio -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
  -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
  -device isa-debug-exit,iobase=0xf4,iosize=4 -append "console=ttyS0 panic=-1 no_timer_check quiet loglevel=3 ${VM_APPEND:-}" \
  < /dev/null > "$work/serial" 2>&1 &
qemu=$!
wait "$qemu" && rc=0 || rc=$?
qemu=
wait "$reader" || true
if [ $((rc & 1)) = 1 ] && grep -q '^=====END' "$work/console"; then exit $((rc >> 1)); fi
echo "the machine with kernel $1 ended before its command did (qemu: $rc); its console:" >&2
tail -n 30 "$work/console" >&2
exit 125
