#!/usr/bin/env bash
# down.sh: ends the cluster of this folder and removes everything it left: processes (by pid file, cgroup and namespace, never by name),
# links, cgroups, folders.
here=$(dirname "$0")
# shellcheck source=e2e/cluster/lib.sh
source "$here/lib.sh"
# shellcheck source=e2e/cluster/namespaces.sh
source "$here/namespaces.sh"

[ -d "$CLUSTER_DIR" ] || { echo "no cluster in $CLUSTER_DIR"; exit 0; }
[ -f "$CLUSTER_DIR/env" ] || die "$CLUSTER_DIR does not look like a cluster's folder (no file 'env'): remove it by hand"
# The folder knows its own name and addresses.
# shellcheck disable=SC1091
source "$CLUSTER_DIR/env"
for holder in "$CLUSTER_DIR"/node*/; do
  [ -d "$holder" ] && n=$(basename "$holder") && node_down "${n#node}"
done
stop 2 kube-scheduler kube-controller-manager kube-apiserver etcd
ip link del "br-$CLUSTER_NAME" 2>/dev/null || true
# Removing a folder takes away what other mount namespaces have mounted on it: those of another cluster's nodes stay.
if [ -f "$CLUSTER_DIR/made-folders" ]; then
  sort -ur "$CLUSTER_DIR/made-folders" | while read -r folder; do
    grep -qs " $folder " /proc/[0-9]*/mountinfo || rmdir --ignore-fail-on-non-empty "$folder" 2>/dev/null || true
  done
fi
rm -rf "$CLUSTER_DIR"
say "gone: $CLUSTER_DIR"
