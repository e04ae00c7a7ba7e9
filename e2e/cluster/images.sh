#!/usr/bin/env bash
# images.sh N IMAGE...: builds images of this machine's static binaries and imports them into node N (0: only build).
#   pause    localhost/pause:1    what holds a pod's namespaces
#   busybox  localhost/busybox:1  a shell and the usual tools, for trying things
#   eyas     localhost/eyas:dev   eyas-agent, eyas-operator, kubectl-eyas over nothing
# An image that is on the node already is not imported again. The archives stay in CLUSTER_DIR/images.
here=$(dirname "$0")
# shellcheck source=e2e/cluster/lib.sh
source "$here/lib.sh"
n=${1:?the node\'s number}; shift
images=$CLUSTER_DIR/images
mkdir -p "$images"

build() { # NAME REFERENCE CONFIG FILES...
  local name=$1 reference=$2 digest; shift
  digest=$(python3 "$here/oci.py" "$images/$name.tar" "$@")
  echo "$digest" > "$images/$name.digest"
  [ "$n" != 0 ] || { echo "$reference $images/$name.tar"; return; }
  [ "$(ctr_node images ls "name==$reference" | awk 'NR == 2 { print $3 }')" = "$digest" ] && return
  ctr_node images import --digests=false "$images/$name.tar" > /dev/null || die "node$n does not take the image $reference"
  say "node$n has $reference"
}
ctr_node() { ctr -a "$(node_dir "$n")/run/containerd/containerd.sock" -n k8s.io "$@"; }

busybox=$(command -v busybox) || die "busybox is missing: run 'scripts/setup.sh cluster'"
for image in "$@"; do
  case $image in
    pause) build pause localhost/pause:1 '{"Entrypoint": ["/bin/busybox", "sleep", "2147483647"]}' /bin/busybox="$busybox" ;;
    busybox)
      mapfile -t links < <("$busybox" --list | grep -vx busybox | sed 's#.*#/bin/&->busybox#')
      build busybox localhost/busybox:1 '{"Cmd": ["/bin/sh"]}' /bin/busybox="$busybox" /etc/passwd="$here/conf/passwd" \
        /etc/shadow="$here/conf/shadow" /etc/group="$here/conf/group" /usr/bin/env-\>../../bin/env "${links[@]}" ;;
    eyas)
      release=${EYAS_RELEASE:-$EYAS_ROOT/target/release}
      for b in eyas-agent eyas-operator kubectl-eyas; do
        [ -x "$release/$b" ] || die "$release/$b is missing: run 'make build'"
      done
      build eyas localhost/eyas:dev '{"Entrypoint": ["/usr/bin/eyas-agent"]}' /usr/bin/eyas-agent="$release/eyas-agent" \
        /usr/bin/eyas-operator="$release/eyas-operator" /usr/bin/kubectl-eyas="$release/kubectl-eyas" ;;
    *) die "no image '$image': pause, busybox, eyas" ;;
  esac
done
